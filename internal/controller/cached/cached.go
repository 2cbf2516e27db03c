// SPDX-License-Identifier: Apache-2.0

// Package cached defines what the informer caches keep of batches and slices: everything that decides whether there is
// something to do, but no list of users unless it is short. A caller that needs a longer list reads the object from the API
// server.
//
// Batch and Slice are registered under the kinds of the API, so that an informer decodes what the API server sends straight
// into them, and the compiler keeps trimmed objects apart from whole ones.
package cached

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"sigs.k8s.io/json"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// keptUsers is the maximum length of a list that stays in the cache. Ten users take about 1 KB, as much as the conditions.
const keptUsers = 10

// Whole objects with pending work stay in memory for a few seconds after they were received. Within that time they are nearly
// always reconciled, which saves reading them again. A long list takes about 1 MB in a batch, and 200 KB in a slice.
const (
	recentTTL     = 5 * time.Second
	recentBatches = 8
	recentSlices  = 50
)

var (
	recentlyReceivedBatches = cache.NewLRUExpireCache(recentBatches)
	recentlyReceivedSlices  = cache.NewLRUExpireCache(recentSlices)
)

// version identifies a version of an object.
type version struct {
	uid    types.UID
	number string
}

func versionOf(object metav1.Object) version {
	return version{object.GetUID(), object.GetResourceVersion()}
}

// Batch is what the cache keeps of an EmbeddedUserBatch. It is shared, and must not be modified.
type Batch struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	APIKeySecretRef   v1alpha1.APIKeySecretReference
	UsersFrom         []v1alpha1.UsersSource
	InvalidUserPolicy v1alpha1.InvalidUserPolicy
	Suspend           bool
	Mode              v1alpha1.Mode
	UpdatePolicy      v1alpha1.UpdatePolicy
	ResyncInterval    *metav1.Duration
	Status            v1alpha1.EmbeddedUserBatchStatus

	whole *v1alpha1.EmbeddedUserBatch // nil if its list is long
}

// Slice is what the cache keeps of an EmbeddedUserSlice. It is shared, and must not be modified.
type Slice struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	APIKeySecretRef    v1alpha1.APIKeySecretReference
	SpecDigest         string // of all that the batch controller writes into a slice
	ObservedGeneration int64
	Ready              *metav1.Condition
	KeyCheck           *v1alpha1.KeyCheck
	Counts             v1alpha1.UserCounts // of its users, by the results that hold
	Asked              int32               // users that are sent again although they have a result
	Unidentified       int32               // users that exist and whose userId is still to be learned,
	Outdated           int32               // and whose full name is to be written
	RetryTime          *metav1.Time        // when that is due by itself
	IsRemovable        bool                // see ledger.IsRemovable
	// Rejected holds the results of users that the API did not accept and that have not been corrected since, at most as many as
	// a batch can show.
	Rejected []v1alpha1.UserResult

	whole *v1alpha1.EmbeddedUserSlice // nil if its lists are long
}

// BatchOf returns what the cache keeps of a batch.
func BatchOf(whole *v1alpha1.EmbeddedUserBatch) Batch {
	kept := Batch{
		ObjectMeta: whole.ObjectMeta, APIKeySecretRef: whole.Spec.APIKeySecretRef, UsersFrom: whole.Spec.UsersFrom,
		InvalidUserPolicy: whole.Spec.InvalidUserPolicy, Suspend: whole.Spec.Suspend, Mode: whole.Spec.Mode,
		UpdatePolicy: whole.Spec.UpdatePolicy, ResyncInterval: whole.Spec.ResyncInterval, Status: whole.Status,
	}
	if len(whole.Spec.Users) <= keptUsers {
		kept.whole = whole
	}
	return kept
}

// SliceOf returns what the cache keeps of a slice.
func SliceOf(whole *v1alpha1.EmbeddedUserSlice) Slice {
	kept := Slice{
		ObjectMeta: whole.ObjectMeta, APIKeySecretRef: whole.Spec.APIKeySecretRef, SpecDigest: specDigest(whole),
		ObservedGeneration: whole.Status.ObservedGeneration, KeyCheck: whole.Status.KeyCheck,
		Ready:  meta.FindStatusCondition(whole.Status.Conditions, v1alpha1.ConditionReady),
		Counts: ledger.Count(whole, whole.Status.Results),
		Asked:  ledger.CountAsked(whole.Status.Results), RetryTime: whole.Status.RetryTime,
		IsRemovable: ledger.IsRemovable(whole), Rejected: rejected(whole),
	}
	kept.Unidentified, kept.Outdated = ledger.CountUpdates(whole)
	kept.ManagedFields = nil
	if len(whole.Spec.Users) <= keptUsers && len(whole.Status.Results) <= keptUsers {
		kept.whole = whole
	}
	return kept
}

// WithoutLists returns the slice without lists that may be part of something larger.
func (s Slice) WithoutLists() Slice {
	s.whole = nil
	return s
}

// SendsNothing reports whether the users of the batch are not to be sent, whatever is pending.
func (b *Batch) SendsNothing() bool { return b.Suspend || b.Mode == v1alpha1.ModeObserve }

// AwaitsApproval reports whether the users of the batch are not to be sent under a key yet, because those that exist under the key
// before have not been looked up under this one.
func (b *Batch) AwaitsApproval(fingerprint string) bool {
	return b.Status.KeyFingerprint != "" && b.Status.KeyFingerprint != fingerprint
}

// Whole returns the batch with its list, if that is short or was received in the last few seconds. It must not be modified.
func (b *Batch) Whole() (*v1alpha1.EmbeddedUserBatch, bool) {
	if b.whole != nil {
		return b.whole, true
	}
	recent, _ := recentlyReceivedBatches.Get(versionOf(b))
	whole, ok := recent.(*v1alpha1.EmbeddedUserBatch)
	return whole, ok
}

// Whole returns the slice with its lists, if they are short or were received in the last few seconds. It must not be modified.
func (s *Slice) Whole() (*v1alpha1.EmbeddedUserSlice, bool) {
	if s.whole != nil {
		return s.whole, true
	}
	recent, _ := recentlyReceivedSlices.Get(versionOf(s))
	whole, ok := recent.(*v1alpha1.EmbeddedUserSlice)
	return whole, ok
}

// UnmarshalJSON keeps of a batch what the cache needs.
func (b *Batch) UnmarshalJSON(data []byte) error {
	whole := &v1alpha1.EmbeddedUserBatch{}
	if err := json.UnmarshalCaseSensitivePreserveInts(data, whole); err != nil {
		return fmt.Errorf("decoding an EmbeddedUserBatch: %w", err)
	}
	whole.ManagedFields = nil
	delete(whole.Annotations, corev1.LastAppliedConfigAnnotation)
	*b = BatchOf(whole)
	if b.whole == nil && whole.Status.ObservedGeneration != whole.Generation {
		recentlyReceivedBatches.Add(versionOf(whole), whole, recentTTL)
	}
	return nil
}

// UnmarshalJSON keeps of a slice what the cache needs.
func (s *Slice) UnmarshalJSON(data []byte) error {
	whole := &v1alpha1.EmbeddedUserSlice{}
	if err := json.UnmarshalCaseSensitivePreserveInts(data, whole); err != nil {
		return fmt.Errorf("decoding an EmbeddedUserSlice: %w", err)
	}
	whole.ManagedFields = nil
	*s = SliceOf(whole)
	if s.whole == nil && s.Counts.Pending > 0 {
		recentlyReceivedSlices.Add(versionOf(whole), whole, recentTTL)
	}
	return nil
}

// DeepCopyObject implements runtime.Object. The copy shares its parts, because nobody modifies them.
func (b *Batch) DeepCopyObject() runtime.Object {
	shared := *b
	return &shared
}

// DeepCopyObject implements runtime.Object. The copy shares its parts, because nobody modifies them.
func (s *Slice) DeepCopyObject() runtime.Object {
	shared := *s
	return &shared
}

// Transform removes what is not needed from the metadata of ConfigMaps and Secrets: kubectl's last-applied-configuration
// annotation holds the data of a Secret. It is a cache.TransformFunc.
func Transform(object any) (any, error) {
	if o, ok := object.(*metav1.PartialObjectMetadata); ok {
		o.ManagedFields, o.Annotations, o.Labels, o.OwnerReferences = nil, nil, nil, nil
	}
	return object, nil
}

// specDigest returns a digest of what the batch controller writes into a slice: the users, the reference to the key, the
// update policy and the label.
func specDigest(slice *v1alpha1.EmbeddedUserSlice) string {
	hash := sha256.New()
	write := func(text string) {
		_, _ = io.WriteString(hash, text) // a hash never fails
		_, _ = hash.Write([]byte{0})
	}
	write(slice.Labels[v1alpha1.LabelBatch])
	key := slice.Spec.APIKeySecretRef.WithDefaultKey()
	write(key.Name)
	write(key.Key)
	if slice.Spec.UpdatePolicy != "" { // so that a digest of an earlier release still holds
		write(string(slice.Spec.UpdatePolicy))
	}
	for _, user := range slice.Spec.Users {
		write(user.Username)
		write(user.FullName)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

func rejected(slice *v1alpha1.EmbeddedUserSlice) []v1alpha1.UserResult {
	var found []v1alpha1.UserResult
	ledger.Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, _ bool) {
		if result.Result == v1alpha1.ResultInvalid && !ledger.IsSent(user, result) && len(found) < v1alpha1.MaxInvalidUsers {
			found = append(found, result)
		}
	})
	return found
}
