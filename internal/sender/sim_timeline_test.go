// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"container/heap"
	"fmt"
	"strings"
	"time"
)

// timeline is simulated time: what is to happen, in order. Nothing else moves its clock.
type timeline struct {
	now    time.Duration
	queue  timedQueue
	number int
	trace  *strings.Builder // of what happened; nil for none
}

// timed is something that is to happen. Of two at the same time the one that was planned first goes first.
type timed struct {
	at     time.Duration
	number int
	do     func()
}

type timedQueue []timed

func (q timedQueue) Len() int { return len(q) }
func (q timedQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].number < q[j].number
}
func (q timedQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timedQueue) Push(x any)   { *q = append(*q, x.(timed)) }
func (q *timedQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = timed{}
	*q = (*q)[:last]
	return x
}

// at plans something.
func (t *timeline) at(when time.Duration, do func()) {
	t.number++
	heap.Push(&t.queue, timed{max(when, t.now), t.number, do})
}

// after plans something.
func (t *timeline) after(delay time.Duration, do func()) { t.at(t.now+delay, do) }

// runUntil has everything happen until some time, or until a condition holds.
func (t *timeline) runUntil(end time.Duration, isOver func() bool) {
	for len(t.queue) > 0 && t.queue[0].at <= end {
		if isOver != nil && isOver() {
			return
		}
		next := heap.Pop(&t.queue).(timed)
		t.now = next.at
		next.do()
	}
	if isOver == nil || !isOver() {
		t.now = max(t.now, end)
	}
}

// log adds a line to the trace.
func (t *timeline) log(format string, args ...any) {
	if t.trace != nil {
		fmt.Fprintf(t.trace, "%12.6f  ", t.now.Seconds())
		fmt.Fprintf(t.trace, format, args...)
		t.trace.WriteByte('\n')
	}
}
