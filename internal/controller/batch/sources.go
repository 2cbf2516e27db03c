// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/digest"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// reading is a list of users that was read from the API server.
type reading struct {
	batch   *v1alpha1.EmbeddedUserBatch
	list    users.List
	sources string // digest of the versions of the sources
	bytes   int64  // of memory that the list takes
	took    time.Duration
}

// listError says why a list cannot be read, and how somebody can fix that.
type listError struct {
	conditions.Verdict

	plan v1alpha1.PlanStatus // that cannot be made; of what was read only the sources
}

func (e *listError) Error() string { return e.Message }

// errWaiting says that there is no memory for a list. The batch is reconciled again when there is.
var errWaiting = errors.New("waiting for memory")

// read reads the list of a batch from the API server: as a short one, and if it is not as a long one. The caller must release
// the hold. The error is errGone, errWaiting or a listError, unless reading failed.
func (r *Reconciler) read(ctx context.Context, v view) (*reading, *budget.Hold, error) {
	began, pools := time.Now(), []pool{r.memory.short, r.memory.long}
	if r.memory.long.Knows(v.name()) { // it was too long for a short one
		pools = pools[1:]
	}
	for _, pool := range pools {
		most := pool.most // nobody knows the size of a list before it is read
		if len(v.batch.UsersFrom) == 0 {
			most.Memory = min(most.Memory, inlineListMemory)
		}
		hold := pool.Acquire(v.name(), most.Memory)
		if hold == nil {
			return nil, nil, errWaiting
		}
		read, err := r.readWithin(ctx, v, most)
		if err == nil {
			hold.Shrink(read.bytes)
			read.took = time.Since(began)
			return read, hold, nil
		}
		hold.Release()
		if !errors.Is(err, decode.ErrLimit) {
			return nil, nil, err
		}
	}
	tooLarge := fmt.Sprintf("The list takes more memory than the operator allows for one batch "+
		"(--max-list-memory, %s); split it into several batches, or write CSV or NDJSON instead of YAML",
		resource.NewQuantity(r.memory.long.most.Memory, resource.BinarySI))
	return nil, nil, &listError{
		Verdict: conditions.Stalled(v1alpha1.ReasonListTooLarge, tooLarge), plan: v1alpha1.PlanStatus{Sources: v.sources},
	}
}

// readWithin reads the list of a batch if it keeps to the limits, else the error is decode.ErrLimit.
func (r *Reconciler) readWithin(ctx context.Context, v view, most decode.Limits) (*reading, error) {
	batch, err := r.readBatch(ctx, v)
	if err != nil {
		return nil, err
	}
	read := &reading{batch: batch}
	for i, row := range batch.Spec.Users {
		user := users.User(row)
		if err := read.add(users.Row{User: user, Index: int32(i)}, users.Problem(user), most); err != nil {
			return nil, err
		}
	}
	versions := make([]string, len(batch.Spec.UsersFrom))
	var problem *listError
	text := int64(0)
	for i := range batch.Spec.UsersFrom {
		source := &batch.Spec.UsersFrom[i]
		data, version, err := r.readSource(ctx, batch.Namespace, source)
		if err != nil {
			return nil, err
		}
		versions[i] = version
		if problem != nil { // the remaining sources only matter for their versions
			continue
		}
		n, err := read.addSource(ctx, int32(i+1), source, data, decode.Limits{Text: most.Text - text, Memory: most.Memory})
		if err != nil && !errors.As(err, &problem) {
			return nil, err
		}
		text += n
	}
	read.sources = digest.Of(versions...)
	if problem != nil {
		problem.plan.Sources = read.sources
		return nil, problem
	}
	return read, nil
}

// readBatch returns a batch with its list.
func (r *Reconciler) readBatch(ctx context.Context, v view) (*v1alpha1.EmbeddedUserBatch, error) {
	if whole, ok := v.batch.Whole(); ok {
		return whole, nil
	}
	batch := &v1alpha1.EmbeddedUserBatch{}
	if err := r.Client.Get(ctx, v.name(), batch); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading the batch: %w", err)
	}
	if batch.UID != v.batch.UID || !batch.DeletionTimestamp.IsZero() {
		return nil, errGone
	}
	r.versions.Note(v.name(), batch)
	return batch, nil
}

// add adds a row to the list.
func (read *reading) add(row users.Row, problem string, most decode.Limits) error {
	before := len(read.list.Valid)
	if read.list.Add(row, problem); len(read.list.Valid) > before {
		read.bytes += users.Memory(row.User)
	}
	if read.bytes > most.Memory {
		return decode.ErrLimit
	}
	return nil
}

// addSource adds the rows of a source; data is nil if it does not exist. It returns the size of its text.
func (read *reading) addSource(
	ctx context.Context, number int32, source *v1alpha1.UsersSource, data []byte, most decode.Limits,
) (text int64, err error) {
	left := decode.Limits{Text: most.Text, Memory: most.Memory - read.bytes}
	text, err = usersource.Rows(ctx, source, data, left, func(row decode.Row) error {
		index := int32(row.Index) //nolint:gosec // bounded by the size of a list
		return read.add(users.Row{User: row.User, Source: number, Index: index}, row.Problem, most)
	})
	var problem *usersource.ListError
	if errors.As(err, &problem) {
		return text, &listError{Verdict: conditions.Stalled(problem.Reason, problem.Message)}
	}
	return text, err //nolint:wrapcheck // says itself what failed, or a named error
}

// readSource returns the data of a source, nil if there is none, and its version.
func (r *Reconciler) readSource(
	ctx context.Context, namespace string, source *v1alpha1.UsersSource,
) (data []byte, version string, err error) {
	kind, ref := usersource.Reference(source)
	if len(validation.NameIsDNSSubdomain(ref.Name, false)) > 0 { // stored before the schema refused such names; nothing has one
		return nil, "", nil
	}
	configMap, secret := &corev1.ConfigMap{}, &corev1.Secret{}
	var object client.Object = secret
	if kind == usersource.ConfigMap {
		object = configMap
	}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("reading %s %q: %w", kind, ref.Name, err)
	}
	return usersource.Value(configMap, secret, ref.Key), usersource.Version(object), nil
}
