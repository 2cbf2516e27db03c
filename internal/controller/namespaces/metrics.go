// SPDX-License-Identifier: Apache-2.0

package namespaces

import "github.com/prometheus/client_golang/prometheus"

var watchedDesc = prometheus.NewDesc("embeddeduser_namespace_watched",
	"1 if a namespace of --watch-namespaces is watched, "+
		"0 if it does not exist, the operator has no rights there, or its objects cannot be read.",
	[]string{"namespace"}, nil)

var _ prometheus.Collector = &Cache{}

// Describe implements [prometheus.Collector].
func (c *Cache) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- watchedDesc }

// Collect sends one metric for each namespace.
func (c *Cache) Collect(metrics chan<- prometheus.Metric) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, name := range c.names {
		value := 0.0
		if c.problems[name] == nil {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(watchedDesc, prometheus.GaugeValue, value, name)
	}
}
