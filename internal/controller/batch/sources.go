package batch

import (
	"context"
	"fmt"

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

// maxUsers bounds what one list takes in memory: about 200 bytes for each user, while it is planned.
const maxUsers = 2_000_000

// readList reads the users of a batch from the API server, and the version of each source. It returns a problem when a source
// cannot be read as a list; somebody has to mend it.
func (r *Reconciler) readList(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) (list *users.List, versions []string, problem *conditions.Verdict, err error) {
	list = &users.List{}
	for i, user := range batch.Spec.Users {
		list.Add(users.Row{User: users.User(user), Index: int32(i)}, "")
	}
	for i := range batch.Spec.UsersFrom {
		source := &batch.Spec.UsersFrom[i]
		kind, ref := referred(source)
		data, version, err := r.readSource(ctx, batch.Namespace, kind, ref)
		if err != nil {
			return nil, nil, nil, err
		}
		versions = append(versions, version)
		if problem != nil { // only the versions of the rest matter
			continue
		}
		switch format, known := formatOf(source, ref.Key); {
		case data == nil && ref.Optional:
		case data == nil:
			problem = sourceProblem(v1alpha1.ReasonSourceNotFound, kind, ref, "does not exist; create it, correct spec.usersFrom, or mark it as optional")
		case !known:
			problem = sourceProblem(v1alpha1.ReasonSourceUnreadable, kind, ref, "has an extension that stands for no format; set the format in spec.usersFrom")
		default:
			problem = addRows(list, int32(i+1), data, format, kind, ref)
		}
	}
	return list, versions, problem, nil
}

// addRows reads one source into the list.
func addRows(list *users.List, number int32, data []byte, format decode.Format, kind string, ref *v1alpha1.UsersKeyReference) *conditions.Verdict {
	err := decode.Rows(data, format, func(row decode.Row) error {
		if len(list.Valid) >= maxUsers {
			return fmt.Errorf("brings the batch above %d users; spread them over several batches", maxUsers)
		}
		list.Add(users.Row{User: row.User, Source: number, Index: int32(row.Index)}, row.Problem) //nolint:gosec // bounded by the size of a list
		return nil
	})
	if err != nil {
		return sourceProblem(v1alpha1.ReasonSourceUnreadable, kind, ref, err.Error())
	}
	return nil
}

func sourceProblem(reason, kind string, ref *v1alpha1.UsersKeyReference, what string) *conditions.Verdict {
	problem := conditions.Stalled(reason, fmt.Sprintf("The list %q in %s %q %s", ref.Key, kind, ref.Name, what))
	return &problem
}

// referred is what a source refers to.
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

// readSource reads the data of a source, nil if there is none, and the version that this is.
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

// sourceVersions are the versions of a batch's sources that the cache knows.
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
