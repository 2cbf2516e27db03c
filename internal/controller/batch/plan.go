package batch

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// uidDigits is the number of digits of the batch's UID in the names of its slices. They keep the slices of a recreated batch
// apart from those of the batch that had its name before.
const uidDigits = 8

// plan lists the writes after which every user of a batch is in exactly one slice.
type plan struct {
	create    []*v1alpha1.EmbeddedUserSlice
	update    []*v1alpha1.EmbeddedUserSlice
	remove    []*v1alpha1.EmbeddedUserSlice
	isPartial bool // another plan must follow
}

func (p plan) isEmpty() bool { return len(p.create)+len(p.update)+len(p.remove) == 0 }

// newPlan distributes users of a batch over its slices and changes as few slices as possible. existing are slices that the
// batch controls, in any state; newPlan repairs inconsistent ones. skipped names the batch's other slices, which stay as they
// are; rows does not contain their users.
//
//   - A user with a result stays in the slice that has the result; if several do, in the one with the highest rank.
//   - A user without a result stays in its slice while the slice keeps its limits.
//   - Every other user goes into the first slice with room, and then into new slices. A row that left the spec takes up room
//     until the slice controller has dropped its result.
//   - A slice is removed once it is empty and its controller has observed that.
func newPlan(batch *v1alpha1.EmbeddedUserBatch, rows []users.Row, existing []v1alpha1.EmbeddedUserSlice, skipped ...string) plan {
	drafts := make([]*draft, 0, len(existing))
	for i := range existing {
		if existing[i].DeletionTimestamp.IsZero() {
			drafts = append(drafts, newDraft(&existing[i]))
		}
	}
	slices.SortFunc(drafts, func(a, b *draft) int { return compareNames(a.slice.Name, b.slice.Name) })

	homes := findHomes(drafts)
	for _, row := range rows {
		if home := homes[row.Username]; home != nil {
			home.keep[row.Username] = v1alpha1.User(row.User)
		}
	}
	placed := make(map[string]struct{}, len(homes))
	for _, d := range drafts {
		d.settle(placed)
	}
	drafts = placeRest(batch, rows, placed, drafts, existing, skipped)

	var p plan
	for _, d := range drafts {
		switch {
		case d.slice.UID == "":
			d.slice.Spec.Users = d.users
			p.create = append(p.create, d.slice)
		case d.changed(batch):
			updated := d.slice.DeepCopy()
			metav1.SetMetaDataLabel(&updated.ObjectMeta, v1alpha1.LabelBatch, batch.Name)
			updated.Spec = v1alpha1.EmbeddedUserSliceSpec{APIKeySecretRef: batch.Spec.APIKeySecretRef, Users: d.users}
			p.update = append(p.update, updated)
		case d.removable():
			p.remove = append(p.remove, d.slice)
		}
	}
	return p
}

// draft is the desired state of a slice.
type draft struct {
	slice   *v1alpha1.EmbeddedUserSlice
	results map[string]v1alpha1.UserResult
	keep    map[string]v1alpha1.User // wanted users that belong here, by username

	users []v1alpha1.User
	rows  int // number of distinct usernames among users and results
	bytes int // size of users as JSON
}

func newDraft(slice *v1alpha1.EmbeddedUserSlice) *draft {
	return &draft{slice: slice, results: ledger.Index(slice.Status.Results), keep: map[string]v1alpha1.User{}, rows: len(slice.Status.Results)}
}

// findHomes returns, for each username in the slices, the slice that keeps it.
func findHomes(drafts []*draft) map[string]*draft {
	homes, best := map[string]*draft{}, map[string]int{}
	offer := func(username string, d *draft, rank int) {
		if homes[username] == nil || rank > best[username] {
			homes[username], best[username] = d, rank
		}
	}
	for _, d := range drafts {
		for _, user := range d.slice.Spec.Users {
			offer(user.Username, d, 2*ledger.Rank(d.results[user.Username])+1)
		}
		for username, result := range d.results {
			offer(username, d, 2*ledger.Rank(result))
		}
	}
	return homes
}

// settle decides which users the draft keeps, in the slice's order, and adds them to placed. Settled users stay as they were
// sent. Pending users stay too, because a request may be in flight, unless an edited row no longer fits.
func (d *draft) settle(placed map[string]struct{}) {
	first := make(map[string]v1alpha1.User, len(d.keep)) // the first row of each username to keep
	var order []string
	for _, user := range d.slice.Spec.Users {
		_, wanted := d.keep[user.Username]
		if _, seen := first[user.Username]; wanted && !seen {
			first[user.Username] = user
			order = append(order, user.Username)
		}
	}
	urgency := func(username string) int {
		switch user, wanted := first[username], d.keep[username]; {
		case d.holds(user, wanted):
			return 0
		case user == wanted:
			return 1
		default:
			return 2
		}
	}
	stays := make(map[string]v1alpha1.User, len(order))
	for _, username := range slices.SortedStableFunc(slices.Values(order), func(a, b string) int { return urgency(a) - urgency(b) }) {
		user, wanted := first[username], d.keep[username]
		if !d.holds(user, wanted) {
			if user = wanted; !d.fits(user) {
				continue
			}
		}
		stays[username] = user
		d.account(user)
	}
	for _, username := range order {
		delete(d.keep, username)
		if user, ok := stays[username]; ok {
			d.users = append(d.users, user)
			placed[username] = struct{}{}
		}
	}
	d.readmit(placed)
}

// readmit restores users that left the spec and are wanted again while their results are still here. If a user that exists
// does not fit, readmit drops its full name, which is not needed any more, rather than have the user sent again.
func (d *draft) readmit(placed map[string]struct{}) {
	for _, username := range slices.Sorted(maps.Keys(d.keep)) {
		user := d.keep[username]
		if !d.fits(user) && ledger.Exists(d.results[username]) {
			user.FullName = ""
		} else if !d.fits(user) {
			continue
		}
		d.add(user)
		placed[username] = struct{}{}
	}
}

// holds reports whether the result for a row of the slice is valid for the wanted row.
func (d *draft) holds(user, wanted v1alpha1.User) bool {
	result, known := d.results[user.Username]
	return known && ledger.Settled(wanted, result) && stays(user, wanted, result)
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

func (d *draft) changed(batch *v1alpha1.EmbeddedUserBatch) bool {
	return !slices.Equal(d.users, d.slice.Spec.Users) || !hasSettings(d.slice, batch)
}

// hasSettings reports whether a slice has what every slice of a batch has besides users.
func hasSettings(slice *v1alpha1.EmbeddedUserSlice, batch *v1alpha1.EmbeddedUserBatch) bool {
	return slice.Labels[v1alpha1.LabelBatch] == batch.Name && slice.Spec.APIKeySecretRef == batch.Spec.APIKeySecretRef
}

// stays reports whether a row of a slice may stay as it is although another one is wanted for its user: if they are equal, or the
// user exists, because the operator does not change users that exist.
func stays(user, wanted v1alpha1.User, result v1alpha1.UserResult) bool {
	return user == wanted || ledger.Exists(result)
}

// removable reports whether the slice is empty and its controller has observed that.
func (d *draft) removable() bool {
	return len(d.users) == 0 && len(d.slice.Status.Results) == 0 && d.slice.Status.ObservedGeneration == d.slice.Generation
}

// placeRest puts the users that are not placed yet into slices with room, and then into new slices.
func placeRest(batch *v1alpha1.EmbeddedUserBatch, rows []users.Row, placed map[string]struct{}, drafts []*draft, existing []v1alpha1.EmbeddedUserSlice, skipped []string) []*draft {
	taken := make(map[string]struct{}, len(existing)+len(skipped))
	for i := range existing {
		taken[existing[i].Name] = struct{}{}
	}
	for _, name := range skipped {
		taken[name] = struct{}{}
	}
	current, index := 0, 0
	for i, row := range rows {
		if _, done := placed[row.Username]; done {
			continue
		}
		user := v1alpha1.User(row.User)
		for current < len(drafts) && !drafts[current].fits(user) {
			current++
		}
		if current == len(drafts) {
			var slice *v1alpha1.EmbeddedUserSlice
			slice, index = newSlice(batch, taken, index)
			drafts = append(drafts, &draft{slice: slice, users: make([]v1alpha1.User, 0, min(len(rows)-i, v1alpha1.MaxSliceUsers))})
		}
		drafts[current].add(user)
	}
	return drafts
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
				Namespace:       batch.Namespace,
				Name:            name,
				Labels:          map[string]string{v1alpha1.LabelBatch: batch.Name},
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(batch, v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind))},
			},
			Spec: v1alpha1.EmbeddedUserSliceSpec{APIKeySecretRef: batch.Spec.APIKeySecretRef},
		}, index + 1
	}
}

// nextName returns the name of the slice with the next index.
func nextName(name string) string {
	at := strings.LastIndexByte(name, '-') + 1
	index, err := strconv.Atoi(name[at:])
	if err != nil { // every name ends with an index
		return name + "-0"
	}
	return name[:at] + strconv.Itoa(index+1)
}

// compareNames orders the names of a batch's slices by index: a shorter name has a smaller index.
func compareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
