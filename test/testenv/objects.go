// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// SecretName is the name of the Secret that batches refer to.
const SecretName = "alloy"

// Create creates an object. It tries again while the API server is down.
func Create(ctx context.Context, c client.Client, object client.Object) error {
	tries := 0
	err := Await(ctx, func(ctx context.Context) error {
		tries++
		err := c.Create(ctx, object)
		if tries > 1 && apierrors.IsAlreadyExists(err) {
			return nil // an earlier try was applied, and its answer was lost
		}
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
	}
	return nil
}

// CreateNamespace creates a namespace.
func CreateNamespace(ctx context.Context, c client.Client, name string) error {
	return Create(ctx, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// WriteKey stores an API key in a Secret, which may exist.
func WriteKey(ctx context.Context, c client.Client, namespace, secret, key string) error {
	object := applycorev1.Secret(secret, namespace).WithData(map[string][]byte{"apiKey": []byte(key)})
	err := Await(ctx, func(ctx context.Context) error {
		return c.Apply(ctx, object, client.FieldOwner("test"), client.ForceOwnership)
	})
	if err != nil {
		return fmt.Errorf("writing the Secret: %w", err)
	}
	return nil
}

// Batch returns a batch of users under the key in SecretName, without creating it.
func Batch(namespace, name string, users ...v1alpha1.User) *v1alpha1.EmbeddedUserBatch {
	return &v1alpha1.EmbeddedUserBatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.EmbeddedUserBatchSpec{APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: SecretName}, Users: Rows(users...)},
	}
}

// Rows returns users as the rows of a batch.
func Rows(users ...v1alpha1.User) []v1alpha1.UserRow {
	rows := make([]v1alpha1.UserRow, len(users))
	for i, user := range users {
		rows[i] = v1alpha1.UserRow(user)
	}
	return rows
}

// Users returns n distinct users.
func Users(prefix string, n int) []v1alpha1.User {
	users := make([]v1alpha1.User, n)
	for i := range users {
		users[i] = v1alpha1.User{Username: fmt.Sprintf("%s-%05d@example.com", prefix, i), FullName: fmt.Sprintf("Customer number %d", i)}
	}
	return users
}

// Condition returns the condition of a type, or the zero condition.
func Condition(conditions []metav1.Condition, conditionType string) metav1.Condition {
	for _, condition := range conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return metav1.Condition{}
}
