package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

const (
	kindConfigMap = "ConfigMap"
	kindSecret    = "Secret"
)

const (
	// maxUsers bounds the memory of a list while it is planned, about 200 bytes for each user.
	maxUsers = 2_000_000
	// longList is the number of rows from which a list must be the only such list in memory.
	longList = 20_000
)

// reading is the result of reading a list of users.
type reading struct {
	list     users.List
	versions []string            // of its sources
	problem  *conditions.Verdict // why it could not be read, if somebody has to fix that
	busy     bool                // another long list is in memory; the other fields are incomplete
	release  func()              // must be called when the list is no longer needed
	took     time.Duration
}

var errBusy = errors.New("another long list is in memory")

// read loads the batch of a state, or marks it as gone, and reads its list. The caller must release the reading in any case.
func (r *Reconciler) read(ctx context.Context, s *state) (*reading, error) {
	if err := r.loadBatch(ctx, s); err != nil || s.gone {
		return &reading{release: func() {}}, err
	}
	begin := time.Now()
	read, err := r.readList(ctx, s.batch)
	read.took = time.Since(begin)
	return read, err
}

// readList reads the users of a batch and the version of each source from the API server.
func (r *Reconciler) readList(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) (*reading, error) {
	read := &reading{release: func() {}}
	for i, user := range batch.Spec.Users {
		read.list.Add(users.Row{User: users.User(user), Index: int32(i)}, "")
	}
	for i := range batch.Spec.UsersFrom {
		source := &batch.Spec.UsersFrom[i]
		kind, ref := referred(source)
		data, version, err := r.readSource(ctx, batch.Namespace, kind, ref)
		if err != nil {
			return read, err
		}
		read.versions = append(read.versions, version)
		if read.problem != nil { // the remaining sources only matter for their versions
			continue
		}
		switch format, known := formatOf(source, ref.Key); {
		case data == nil && ref.Optional:
		case data == nil:
			read.problem = sourceProblem(v1alpha1.ReasonSourceNotFound, kind, ref, "does not exist; create it, correct spec.usersFrom, or mark it as optional")
		case !known:
			read.problem = sourceProblem(v1alpha1.ReasonSourceUnreadable, kind, ref, "has no known extension; set the format in spec.usersFrom")
		default:
			err := decode.Rows(data, format, func(row decode.Row) error { return r.addRow(read, int32(i+1), row) }) //nolint:gosec // at most MaxUsersFrom
			if errors.Is(err, errBusy) {
				read.busy = true
				return read, nil
			} else if err != nil {
				read.problem = sourceProblem(v1alpha1.ReasonSourceUnreadable, kind, ref, "cannot be read: "+err.Error())
			}
		}
	}
	return read, nil
}

// addRow adds a row of a source to a list. It acquires the semaphore for long lists once the list becomes long.
func (r *Reconciler) addRow(read *reading, source int32, row decode.Row) error {
	switch len(read.list.Valid) + read.list.FlawedCount {
	case longList:
		select {
		case r.large <- struct{}{}:
			read.release = sync.OnceFunc(func() { <-r.large })
		default:
			return errBusy
		}
	case maxUsers:
		return fmt.Errorf("the batch has more than %d users; split them into several batches", maxUsers)
	}
	read.list.Add(users.Row{User: row.User, Source: source, Index: int32(row.Index)}, row.Problem) //nolint:gosec // bounded by the size of a list
	return nil
}

func sourceProblem(reason, kind string, ref *v1alpha1.UsersKeyReference, what string) *conditions.Verdict {
	problem := conditions.Stalled(reason, fmt.Sprintf("The list %q in %s %q %s", ref.Key, kind, ref.Name, what))
	return &problem
}

// referred returns the object and key that a source refers to.
func referred(source *v1alpha1.UsersSource) (kind string, ref *v1alpha1.UsersKeyReference) {
	if source.ConfigMapKeyRef != nil {
		return kindConfigMap, source.ConfigMapKeyRef
	}
	return kindSecret, source.SecretKeyRef
}

func formatOf(source *v1alpha1.UsersSource, key string) (decode.Format, bool) {
	if source.Format != "" {
		return decode.Format(source.Format), true
	}
	return decode.FormatOf(key)
}

// readSource returns the data of a source, nil if there is none, and its version.
func (r *Reconciler) readSource(ctx context.Context, namespace, kind string, ref *v1alpha1.UsersKeyReference) (data []byte, version string, err error) {
	name := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	var read map[string][]byte
	var object client.Object
	if kind == kindConfigMap {
		configMap := &corev1.ConfigMap{}
		err, object = r.Live.Get(ctx, name, configMap), configMap
		read = configMap.BinaryData
		if text, ok := configMap.Data[ref.Key]; ok {
			read = map[string][]byte{ref.Key: []byte(text)}
		}
	} else {
		secret := &corev1.Secret{}
		err, object = r.Live.Get(ctx, name, secret), secret
		read = secret.Data
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("reading %s %q: %w", kind, ref.Name, err)
	}
	data, found := read[ref.Key]
	if found && data == nil {
		data = []byte{}
	}
	return data, versionOf(object), nil
}

// sourceVersions returns the cached versions of a batch's sources.
func (r *Reconciler) sourceVersions(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) ([]string, error) {
	versions := make([]string, len(batch.Spec.UsersFrom))
	for i := range batch.Spec.UsersFrom {
		kind, ref := referred(&batch.Spec.UsersFrom[i])
		metadata := &metav1.PartialObjectMetadata{}
		metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		err := r.Metadata.Get(ctx, client.ObjectKey{Namespace: batch.Namespace, Name: ref.Name}, metadata)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("looking up %s %q: %w", kind, ref.Name, err)
		}
		if err == nil {
			versions[i] = versionOf(metadata)
		}
	}
	return versions, nil
}

func versionOf(object client.Object) string {
	return string(object.GetUID()) + "/" + object.GetResourceVersion()
}
