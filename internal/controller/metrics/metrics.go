// SPDX-License-Identifier: Apache-2.0

// Package metrics shows what the operator has to do: its batches and their users, the accounts of the sender, and the memory for lists.
// It keeps no state. Each scrape asks whoever owns what it shows, so that a series ends with its object.
//
// The batches of a cluster are counted together, because their number has no bound. Only batches that are not ready have series of
// their own, and only some of them if there are many.
package metrics

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// readTimeout bounds the wait for a cache that is not synced. Then a scrape shows no batches.
const readTimeout = 2 * time.Second

// Sources own what the metrics show. Every field must be set.
type Sources struct {
	// Elected is closed once this replica leads. Until then the metrics are empty, so that a sum over all replicas counts nothing twice.
	Elected <-chan struct{}
	// Batches passes all batches in the cache to visit, which must not keep them.
	Batches func(ctx context.Context, visit func(*cached.Batch)) error
	Sender  func() sender.Stats
	// IsOverdue reports whether the users of a batch should have been looked up long ago.
	IsOverdue func(*cached.Batch, time.Time) bool
	// ListMemory returns the memory for short and for long lists.
	ListMemory func() (short, long budget.Usage)
}

const namespace = "embeddeduser"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	batchesDesc = desc("batches", "EmbeddedUserBatches by the reason of their Ready condition.", "reason")
	usersDesc   = desc("users", "Users of all EmbeddedUserBatches by result. A user of several batches counts in each.", "result")
	ownedDesc   = desc("users_not_owned",
		"Users of EmbeddedUserBatches with the updatePolicy Update that exist, and whose full names the operator does not write.")
	oldestDesc = desc("oldest_pending_user_age_seconds",
		"Time for which an EmbeddedUserBatch has had pending users without a break: the longest of all. 0 if no user is pending.")
	unreadyDesc = desc("unready_batch_since_timestamp_seconds",
		"Unix time since which an EmbeddedUserBatch that is not ready has had the status of its Ready condition.",
		"namespace", "batch", "reason", "stalled")
	pendingDesc = desc("unready_batch_pending_since_timestamp_seconds",
		"Unix time since which an EmbeddedUserBatch that is not ready has had pending users without a break.", "namespace", "batch")
	unreadyUsersDesc = desc("unready_batch_users",
		"Users of an EmbeddedUserBatch that is not ready who are pending or invalid.", "namespace", "batch", "result")
	pausedDesc = desc("paused_batches",
		"EmbeddedUserBatches that create no users because their spec says so: suspended ones, and others in the mode Observe.", "pause")
	suspensionDesc = desc("oldest_suspension_age_seconds",
		"Time for which an EmbeddedUserBatch has been suspended: the longest of all. 0 if none is suspended.")
	overdueDesc = desc("overdue_resync_batches",
		"EmbeddedUserBatches whose users should have been looked up more than a resync interval ago.")
	accountsDesc = desc("alloy_accounts",
		"API keys with something to do, by the state of their circuit breaker.", "circuit")
	doubtDesc = desc("users_in_doubt",
		"Pending users whom a request to the Alloy API whose answer was lost may have created.")
	memoryDesc      = desc("list_memory_used_bytes", "Memory that is reserved for lists of users.", "lists")
	memoryLimitDesc = desc("list_memory_limit_bytes", "Memory that all lists of users together may take.", "lists")
	waitingDesc     = desc("list_memory_waiting_batches", "EmbeddedUserBatches that wait for memory to read their lists.", "lists")
)

type collector struct{ Sources }

var _ prometheus.Collector = collector{}

// Register registers the metrics.
func Register(registry prometheus.Registerer, sources Sources) error {
	if err := registry.Register(collector{sources}); err != nil {
		return fmt.Errorf("registering the metrics of batches: %w", err)
	}
	return nil
}

// NewWaits registers the metric of the time that requests wait for limits, and returns what observes it.
func NewWaits(registry prometheus.Registerer) (func(time.Duration), error) {
	waits := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "embeddeduser_alloy_limiter_wait_seconds",
		Help: "Time that requests to the Alloy API waited for the rate limit of their key, and for running requests of other keys.",
		// From 1 ms to a minute; a wait of more than the timeout of a request is unusual.
		Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
	})
	if err := registry.Register(waits); err != nil {
		return nil, fmt.Errorf("registering the metric of waits: %w", err)
	}
	return func(waited time.Duration) { waits.Observe(waited.Seconds()) }, nil
}

// NewMissing registers the metric of missing users, and returns what counts them.
func NewMissing(registry prometheus.Registerer) (func(users int), error) {
	missing := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "embeddeduser_missing_users_total",
		Help: "Users that existed and were missing when the list of their account was read.",
	})
	if err := registry.Register(missing); err != nil {
		return nil, fmt.Errorf("registering the metric of missing users: %w", err)
	}
	return func(users int) { missing.Add(float64(users)) }, nil
}

// Describe implements [prometheus.Collector].
func (collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{
		batchesDesc, usersDesc, ownedDesc, oldestDesc, unreadyDesc, pendingDesc, unreadyUsersDesc, pausedDesc, suspensionDesc, overdueDesc,
		accountsDesc, doubtDesc, memoryDesc, memoryLimitDesc, waitingDesc,
	} {
		descriptions <- one
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	select {
	case <-c.Elected:
	default:
		return
	}
	gauge := func(description *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	found, now := newSummary(), time.Now()
	visit := func(batch *cached.Batch) {
		if found.add(batch); batch.DeletionTimestamp.IsZero() && c.IsOverdue(batch, now) {
			found.overdue++
		}
	}
	if err := c.Batches(ctx, visit); err == nil { // else the cache is not synced
		found.show(gauge, now)
	}
	accounts := c.Sender()
	gauge(accountsDesc, float64(accounts.Closed), "closed")
	gauge(accountsDesc, float64(accounts.Open), "open")
	gauge(accountsDesc, float64(accounts.HalfOpen), "half_open")
	gauge(doubtDesc, float64(accounts.InDoubt))
	short, long := c.ListMemory()
	for lists, memory := range map[string]budget.Usage{"short": short, "long": long} {
		gauge(memoryDesc, float64(memory.Used), lists)
		gauge(memoryLimitDesc, float64(memory.Total), lists)
		gauge(waitingDesc, float64(memory.Waiting), lists)
	}
}

// show sends the metrics of the batches.
func (s *summary) show(gauge func(*prometheus.Desc, float64, ...string), now time.Time) {
	for reason, n := range s.batches {
		gauge(batchesDesc, float64(n), reason)
	}
	for result, n := range s.users {
		gauge(usersDesc, float64(n), result)
	}
	for pause, n := range s.paused {
		gauge(pausedDesc, float64(n), pause)
	}
	gauge(ownedDesc, float64(s.notOwned))
	gauge(oldestDesc, age(s.oldest, now))
	gauge(suspensionDesc, age(s.suspended, now))
	gauge(overdueDesc, float64(s.overdue))
	for _, batch := range s.shown() {
		gauge(unreadyDesc, float64(batch.since.Unix()), batch.namespace, batch.name, batch.reason, strconv.FormatBool(batch.stalled))
		if !batch.pendingSince.IsZero() {
			gauge(pendingDesc, float64(batch.pendingSince.Unix()), batch.namespace, batch.name)
		}
		gauge(unreadyUsersDesc, float64(batch.pending), batch.namespace, batch.name, resultPending)
		gauge(unreadyUsersDesc, float64(batch.invalid), batch.namespace, batch.name, resultInvalid)
	}
}

// age returns the seconds since a time; 0 for the zero time.
func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds()) // the clock of another replica may have been ahead
}
