// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

const (
	labelColumns   = 11  // of the label before a paragraph
	maxColumns     = 120 // a longer line is hard to read
	maxBarColumns  = 40
	minBarColumns  = 10
	minNameColumns = 12 // of a batch beside its state
)

// screen is a text that is being written.
type screen struct {
	strings.Builder

	columns int
	palette terminal.Palette
	now     time.Time
}

// Screen returns a report as a text of lines of at most so many columns, for a person. Names, and what an API says, are cleaned.
func Screen(r *Report, columns int, palette terminal.Palette, now time.Time) string {
	s := &screen{columns: min(columns, maxColumns), palette: palette, now: now}
	s.heading(r)
	s.verdict(r)
	s.key(r)
	s.lists(r)
	s.confirmed(r)
	s.slices(r)
	s.invalid(r)
	s.events(r)
	for _, what := range r.Missing {
		s.paragraph("Not shown", terminal.Plain, what)
	}
	return s.String()
}

// printf writes to memory, which does not fail.
func (s *screen) printf(format string, args ...any) { _, _ = fmt.Fprintf(&s.Builder, format, args...) }

func (s *screen) heading(r *Report) {
	state := string(r.State)
	if r.Reason != "" && r.Reason != state {
		state += " (" + r.Reason + ")"
	}
	between, room := "   ", s.columns-terminal.Width(state)-3
	if room < minNameColumns {
		between, room = "\n", s.columns
	}
	name := terminal.Cut(terminal.Clean(r.Namespace+"/"+r.Name), room)
	s.printf("%s%s%s\n\n", s.palette.Paint(terminal.Bold, name), between, s.palette.Paint(toneOf(r.State), terminal.Cut(state, s.columns)))
	s.printf("%s\n\n", bar(r, s.columns))
	c := r.Counts
	text := fmt.Sprintf("%s created   %s existing   %s invalid   %s pending",
		terminal.Number(c.Created), terminal.Number(c.Existing), terminal.Number(c.Invalid), terminal.Number(c.Pending))
	if r.Repeated > 0 {
		text += fmt.Sprintf("   (%s not counted)", terminal.Count(r.Repeated, "repeated row", "repeated rows"))
	}
	s.printf("%s\n\n", terminal.Cut(text, s.columns))
}

func toneOf(state State) terminal.Tone {
	switch state {
	case Ready:
		return terminal.Good
	case Stalled:
		return terminal.Bad
	default:
		return terminal.Busy
	}
}

// bar returns how many users have a result, as a bar in a line; with the rate and the time left if they are known.
func bar(r *Report, columns int) string {
	total, done := r.Counts.Total, r.Counts.Total-r.Counts.Pending
	text := fmt.Sprintf(" %3d %%   %s of %s users", percent(done, total), terminal.Number(done), terminal.Number(total))
	if total == 0 {
		text = "         no users yet"
	}
	if r.Pace != nil && r.State == Working && done < total {
		rate := terminal.Number(int64(r.Pace.PerSecond))
		if r.Pace.PerSecond > 0 && r.Pace.PerSecond < 1 {
			rate = "<1"
		}
		text += "   " + rate + "/s"
		if r.Pace.Left != nil {
			text += "   " + terminal.Duration(r.Pace.Left.Duration) + " left"
		}
	}
	width := min(max(columns-terminal.Width(text), minBarColumns), maxBarColumns)
	var drawn bytes.Buffer
	filler := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding("-").Rbound("]").Build()
	// The filler writes to memory, which does not fail.
	_ = filler.Fill(&drawn, decor.Statistics{
		AvailableWidth: width, RequestedWidth: width, Total: int64(total), Current: int64(done), Completed: total > 0 && done == total,
	})
	return terminal.Cut(drawn.String()+text, columns)
}

// percent is 100 only when all are done.
func percent(done, total int32) int64 {
	if total == 0 {
		return 0
	}
	return int64(done) * 100 / int64(total)
}

// paragraph writes a text beside a label.
func (s *screen) paragraph(label string, tone terminal.Tone, texts ...string) {
	for _, text := range texts {
		for _, line := range terminal.Wrap(terminal.Clean(text), s.columns-labelColumns) {
			s.printf("%s%s\n", terminal.Pad(label, labelColumns), s.palette.Paint(tone, line))
			label = ""
		}
	}
}

func (s *screen) verdict(r *Report) {
	s.paragraph("State", terminal.Plain, r.words)
	if r.Message != "" {
		s.paragraph("", terminal.Faint, "“"+r.Message+"”")
	}
	tone, do := terminal.Plain, r.Do
	if lacks := hint(r, s.now); lacks != "" {
		do = lacks
	}
	if r.State.NeedsPerson() || r.Silence(s.now) > 0 {
		tone = terminal.Bold
	}
	s.paragraph("To do", tone, do)
}

func (s *screen) key(r *Report) {
	text := fmt.Sprintf("Secret %s, %s", r.Key.Secret, r.Key.Key)
	c := r.condition(v1alpha1.ConditionCredentialsValid)
	if c == nil {
		s.paragraph("Key", terminal.Plain, text)
		return
	}
	s.paragraph("Key", terminal.Plain, text+": "+said(c))
	s.otherwise(r, c)
}

// otherwise says what is wrong with a condition that is False, unless Ready says the same.
func (s *screen) otherwise(r *Report, c *Condition) {
	if c.Status != "False" || c.Reason == r.Reason {
		return
	}
	s.paragraph("", terminal.Faint, "“"+c.Message+"”")
	if c.Do != "" {
		s.paragraph("", terminal.Bold, c.Do)
	}
}

// said returns a condition in words; its message if its reason is unknown.
func said(c *Condition) string {
	if c.Words == "" {
		return c.Message
	}
	return c.Words
}

// maxLists is the maximum number of lists that are named.
const maxLists = 4

func (s *screen) lists(r *Report) {
	var texts []string
	for i, list := range r.Lists {
		if i == maxLists && len(r.Lists) > maxLists+1 {
			texts = append(texts, fmt.Sprintf("and %d more", len(r.Lists)-maxLists))
			break
		}
		texts = append(texts, describeList(list))
	}
	if len(texts) == 0 {
		texts = []string{"none: the batch names no users"}
	}
	text := strings.Join(texts, "; ")
	c := r.condition(v1alpha1.ConditionSourcesRead)
	if c == nil {
		s.paragraph("Lists", terminal.Plain, text)
		return
	}
	s.paragraph("Lists", terminal.Plain, text+". "+said(c))
	s.otherwise(r, c)
}

func describeList(list List) string {
	if list.Kind == "Inline" {
		return fmt.Sprintf("spec.users (%s rows)", terminal.Number(list.Rows))
	}
	return fmt.Sprintf("%s %s, %s", list.Kind, list.Name, list.Key)
}

func (s *screen) confirmed(r *Report) {
	c := r.condition(v1alpha1.ConditionUsersConfirmed)
	if c == nil {
		return
	}
	s.paragraph("Looked up", terminal.Plain, said(c))
	s.otherwise(r, c)
}

func (s *screen) slices(r *Report) {
	s.paragraph("Slices", terminal.Plain,
		fmt.Sprintf("%s of %s have no pending user", terminal.Number(r.Slices.Ready), terminal.Number(r.Slices.Total)))
	for _, slice := range r.Slices.HeldUp {
		text := fmt.Sprintf("%s: %s pending", slice.Name, terminal.Number(slice.Pending))
		if slice.Next != nil {
			if wait := slice.Next.Sub(s.now); wait > 0 {
				text += ", next request in " + terminal.Duration(wait)
			} else {
				text += ", next request is due"
			}
		}
		s.paragraph("", terminal.Plain, text+": "+slice.Message)
	}
	if r.Slices.Omitted > 0 {
		s.paragraph("", terminal.Plain, fmt.Sprintf("and %s more slices are held up", terminal.Number(r.Slices.Omitted)))
	}
}

// maxInvalid is the maximum number of invalid users that a screen names.
const maxInvalid = 3

func (s *screen) invalid(r *Report) {
	label := "Invalid"
	for _, user := range r.Invalid[:min(len(r.Invalid), maxInvalid)] {
		s.paragraph(label, terminal.Plain, describeInvalid(user))
		label = ""
	}
	if more := int(r.Counts.Invalid) - min(len(r.Invalid), maxInvalid); more > 0 {
		how := "and %s more: kubectl eub results %s --result Invalid"
		if len(r.Invalid) == 0 {
			how = "%s: kubectl eub results %s --result Invalid"
		}
		s.paragraph(label, terminal.Plain, fmt.Sprintf(how, terminal.Number(more), advice.Target(r.Namespace, r.Name)))
	}
}

func describeInvalid(user v1alpha1.InvalidUser) string {
	where := "row %d of spec.users"
	if source := user.Source; source != nil {
		where = fmt.Sprintf("row %%d of %s %s, %s", source.Kind, source.Name, source.Key)
	}
	where = fmt.Sprintf(where, user.Row)
	if user.Username != "" {
		where += fmt.Sprintf(", %q", user.Username)
	}
	return fmt.Sprintf("%s: %s (%s)", where, user.Message, user.Reason)
}

func (s *screen) events(r *Report) {
	label := "Events"
	for _, e := range r.Events {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		ago := terminal.Duration(s.now.Sub(e.Time.Time)) + " ago"
		s.paragraph(label, terminal.Plain, fmt.Sprintf("%s  %s%s: %s", ago, e.Reason, times, e.Message))
		label = ""
	}
}
