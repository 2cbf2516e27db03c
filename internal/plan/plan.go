// SPDX-License-Identifier: Apache-2.0

// Package plan distributes the users of a batch over its slices. Its functions are pure.
package plan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// uidDigits is the number of digits of the batch's UID in the names of its slices. They keep the slices of a recreated batch
// apart from those of the batch that had its name before.
const uidDigits = 8

// Writes are what to write so that every user of a list is in exactly one slice.
type Writes struct {
	Create    []*v1alpha1.EmbeddedUserSlice
	Update    []*v1alpha1.EmbeddedUserSlice
	Remove    []*v1alpha1.EmbeddedUserSlice
	IsPartial bool // another plan must follow
}

// IsEmpty reports whether there is nothing to write.
func (p Writes) IsEmpty() bool { return len(p.Create)+len(p.Update)+len(p.Remove) == 0 }

// Writes returns the plan for the slices that were added. Update holds changed copies.
func (p *Planner) Writes() Writes {
	drafts := slices.DeleteFunc(slices.Clone(p.drafts), func(d *draft) bool { return d.fate != changed || d.slice == nil })
	slices.SortFunc(drafts, func(a, b *draft) int { return CompareNames(a.name, b.name) })
	for _, d := range drafts {
		p.keep(d)
	}
	made := Writes{Create: p.placeRest(drafts), IsPartial: p.isFull}
	for _, d := range drafts {
		switch {
		case !slices.Equal(d.users, d.slice.Spec.Users) || !hasSettings(d.slice, p.batch):
			updated := d.slice.DeepCopy()
			metav1.SetMetaDataLabel(&updated.ObjectMeta, v1alpha1.LabelBatch, p.batch.Name)
			updated.Spec = settings(p.batch)
			updated.Spec.Users = d.users
			made.Update = append(made.Update, updated)
		case ledger.IsRemovable(d.slice):
			made.Remove = append(made.Remove, d.slice)
		}
	}
	return made
}

// keep decides which of its users a draft keeps, in the slice's order. Settled users stay as they were sent, but for full
// names that are to be written. Pending users stay too, because a request may be in flight, unless an edited row no longer fits.
func (p *Planner) keep(d *draft) {
	d.results = ledger.Index(d.slice.Status.Results)
	d.rows, d.bytes = len(d.results), 0
	var places []int // of the first row of each username to keep
	first := map[int]v1alpha1.User{}
	for _, user := range d.slice.Spec.Users {
		place, wanted := p.list.Find(user.Username)
		if _, seen := first[place]; wanted && !seen && p.homes[place].draft == d.number {
			first[place] = user
			places = append(places, place)
		}
	}
	holds := func(place int) bool { // the result for the row is valid for the wanted row
		wanted, result := v1alpha1.User(p.list.Valid[place].User), d.results[first[place].Username]
		return ledger.Applies(wanted, result) && (first[place] == wanted || ledger.Exists(result))
	}
	urgency := func(place int) int {
		switch {
		case holds(place):
			return 0
		case first[place] == v1alpha1.User(p.list.Valid[place].User):
			return 1
		default:
			return 2
		}
	}
	sorted := slices.SortedStableFunc(slices.Values(places), func(a, b int) int { return urgency(a) - urgency(b) })
	settled := slices.DeleteFunc(slices.Clone(sorted), func(place int) bool { return !holds(place) })
	for _, place := range settled {
		d.account(first[place])
		p.homes[place].placed = true
	}
	p.rename(d, first, settled)
	for _, place := range sorted[len(settled):] {
		if wanted := v1alpha1.User(p.list.Valid[place].User); d.fits(wanted) {
			first[place] = wanted
			d.account(wanted)
			p.homes[place].placed = true
		}
	}
	for _, place := range places {
		if p.homes[place].placed {
			d.users = append(d.users, first[place])
		}
	}
	p.readmit(d, first)
}

// rename gives placed users the wanted full names, as far as they fit. A user that exists does not go into another
// slice for a name, because its result stays here.
func (p *Planner) rename(d *draft, kept map[int]v1alpha1.User, places []int) {
	for _, place := range places {
		user, wanted := kept[place], v1alpha1.User(p.list.Valid[place].User)
		if stays(p.batch, user, wanted, d.results[user.Username]) {
			continue
		}
		if grown := d.bytes - users.Size(users.User(user)) + users.Size(users.User(wanted)); grown <= v1alpha1.MaxSliceBytes {
			kept[place], d.bytes = wanted, grown
		}
	}
}

// readmit restores users that left the spec and are wanted again while their results are still here. If a user that exists
// does not fit, readmit drops its full name, which is not needed any more, rather than have the user sent again.
func (p *Planner) readmit(d *draft, kept map[int]v1alpha1.User) {
	for _, username := range slices.Sorted(maps.Keys(d.results)) {
		place, wanted := p.list.Find(username)
		if _, seen := kept[place]; !wanted || seen || p.homes[place].draft != d.number {
			continue
		}
		user := v1alpha1.User(p.list.Valid[place].User)
		if !d.fits(user) {
			if !ledger.Exists(d.results[username]) {
				continue
			}
			user.FullName = ""
		}
		d.add(user)
		p.homes[place].placed = true
	}
}

// placeRest puts the users that have no slice yet into slices with room, and then into new slices, which it returns.
func (p *Planner) placeRest(drafts []*draft) (created []*v1alpha1.EmbeddedUserSlice) {
	taken := make(map[string]struct{}, len(p.drafts))
	for _, d := range p.drafts {
		taken[d.name] = struct{}{}
	}
	var fresh []*draft
	current, index := 0, 0
	for place, row := range p.list.Valid {
		h := p.homes[place]
		if h.placed || h.draft != 0 && p.drafts[h.draft-1].fate != changed {
			continue
		}
		user := v1alpha1.User(row.User)
		for current < len(drafts) && !drafts[current].fits(user) {
			current++
		}
		if current < len(drafts) {
			drafts[current].add(user)
			continue
		}
		if len(fresh) == 0 || !fresh[len(fresh)-1].fits(user) {
			var slice *v1alpha1.EmbeddedUserSlice
			slice, index = newSlice(p.batch, taken, index)
			fresh = append(fresh, &draft{slice: slice, users: make([]v1alpha1.User, 0, min(len(p.list.Valid)-place, v1alpha1.MaxSliceUsers))})
		}
		fresh[len(fresh)-1].add(user)
	}
	for _, d := range fresh {
		d.slice.Spec.Users = d.users
		created = append(created, d.slice)
	}
	return created
}

func (d *draft) add(user v1alpha1.User) {
	d.account(user)
	d.users = append(d.users, user)
}

// account reserves room for a user.
func (d *draft) account(user v1alpha1.User) {
	if _, known := d.results[user.Username]; !known {
		d.rows++
	}
	d.bytes += users.Size(users.User(user))
}

// fits reports whether a user can be added within the limits of a slice.
func (d *draft) fits(user v1alpha1.User) bool {
	rows := d.rows
	if _, known := d.results[user.Username]; !known {
		rows++
	}
	return rows <= v1alpha1.MaxSliceUsers && d.bytes+users.Size(users.User(user)) <= v1alpha1.MaxSliceBytes
}

// settings returns the spec of a slice without users. A policy that is the default is left out, so that a batch may name it without
// its slices being written anew.
func settings(batch *v1alpha1.EmbeddedUserBatch) v1alpha1.EmbeddedUserSliceSpec {
	spec := v1alpha1.EmbeddedUserSliceSpec{APIKeySecretRef: batch.Spec.APIKeySecretRef.WithDefaultKey()}
	if batch.Spec.UpdatePolicy == v1alpha1.UpdatePolicyUpdate {
		spec.UpdatePolicy = batch.Spec.UpdatePolicy
	}
	return spec
}

// newSlice returns a slice with the first free name, counting from index, and the index that follows.
func newSlice(batch *v1alpha1.EmbeddedUserBatch, taken map[string]struct{}, index int) (*v1alpha1.EmbeddedUserSlice, int) {
	for ; ; index++ {
		name := fmt.Sprintf("%s-%s-%d", batch.Name, strings.ReplaceAll(string(batch.UID), "-", "")[:uidDigits], index)
		if _, used := taken[name]; used {
			continue
		}
		return &v1alpha1.EmbeddedUserSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: batch.Namespace,
				Name:      name,
				Labels:    map[string]string{v1alpha1.LabelBatch: batch.Name},
				OwnerReferences: []metav1.OwnerReference{
					*metav1.NewControllerRef(batch, v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind)),
				},
			},
			Spec: settings(batch),
		}, index + 1
	}
}

// IsName reports whether a slice of a batch with this name could have a name, whatever the UID of that batch was.
func IsName(name, batch string) bool {
	end, isOfBatch := strings.CutPrefix(name, batch+"-")
	return isOfBatch && nameEnd.MatchString(end)
}

// nameEnd matches the digits of the UID and the index.
var nameEnd = regexp.MustCompile(fmt.Sprintf("^[0-9a-f]{%d}-[0-9]+$", uidDigits))

// NextName returns the name of the slice with the next index.
func NextName(name string) string {
	at := strings.LastIndexByte(name, '-') + 1
	index, err := strconv.Atoi(name[at:])
	if err != nil { // every name ends with an index
		return name + "-0"
	}
	return name[:at] + strconv.Itoa(index+1)
}

// CompareNames orders the names of a batch's slices by the number of digits of the index, then by the batch's UID, and then by
// index: a batch may have slices that were another's of its name.
func CompareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
