// SPDX-License-Identifier: Apache-2.0

package status

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pace says how fast users are being sent.
type Pace struct {
	PerSecond float64 `json:"perSecond"`
	// Left is how long the pending users take at this rate; absent if none was sent of late.
	Left *metav1.Duration `json:"left,omitempty"`
}

// paceWindow is the time over which a rate is measured: the operator writes the status once a second, and sends users in requests of up
// to 1000.
const paceWindow = 30 * time.Second

// meter measures how fast users get results. The zero value has seen nothing.
type meter struct{ samples []sample }

type sample struct {
	at    time.Time
	done  int32
	total int32
}

// add notes how many users have a result. If there are fewer than before, or the list has changed, it begins anew.
func (m *meter) add(at time.Time, done, total int32) {
	if n := len(m.samples); n > 0 && (done < m.samples[n-1].done || total != m.samples[n-1].total) {
		m.samples = nil
	}
	m.samples = append(m.samples, sample{at, done, total})
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= paceWindow {
		m.samples = m.samples[1:]
	}
}

// pace returns the rate in the window before now; nil if it has not been seen for a second.
func (m *meter) pace(now time.Time) *Pace {
	if len(m.samples) == 0 {
		return nil
	}
	first, last, began := m.samples[0], m.samples[len(m.samples)-1], now.Add(-paceWindow)
	for _, s := range m.samples {
		if !s.at.After(began) {
			first = sample{began, s.done, s.total} // as it was when the window began
		}
	}
	took := now.Sub(first.at)
	if took < time.Second {
		return nil
	}
	p := &Pace{PerSecond: float64(last.done-first.done) / took.Seconds()}
	if p.PerSecond > 0 {
		left := time.Duration(float64(last.total-last.done) / p.PerSecond * float64(time.Second))
		p.Left = &metav1.Duration{Duration: left.Round(time.Second)}
	}
	return p
}
