package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// redisPool exports the state of the pool of connections to Redis.
type redisPool struct {
	stats                        func() *redis.PoolStats
	connections, waits, timeouts *prometheus.Desc
	waited                       *prometheus.Desc
}

func newRedisPool(stats func() *redis.PoolStats) *redisPool {
	return &redisPool{
		stats: stats,
		connections: prometheus.NewDesc("dropgate_redis_pool_connections",
			"Connections to Redis by state: idle or used.", []string{"state"}, nil),
		waits: prometheus.NewDesc("dropgate_redis_pool_waits_total",
			"Calls that waited for a connection to Redis.", nil, nil),
		waited: prometheus.NewDesc("dropgate_redis_pool_wait_seconds_total",
			"Time that calls waited for a connection to Redis.", nil, nil),
		timeouts: prometheus.NewDesc("dropgate_redis_pool_timeouts_total",
			"Calls that got no connection to Redis in time.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (p *redisPool) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.connections, p.waits, p.waited, p.timeouts} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (p *redisPool) Collect(to chan<- prometheus.Metric) {
	now := p.stats()
	used := float64(now.TotalConns) - float64(now.IdleConns)
	to <- prometheus.MustNewConstMetric(p.connections, prometheus.GaugeValue, float64(now.IdleConns), "idle")
	to <- prometheus.MustNewConstMetric(p.connections, prometheus.GaugeValue, max(used, 0), "used")
	to <- prometheus.MustNewConstMetric(p.waits, prometheus.CounterValue, float64(now.WaitCount))
	to <- prometheus.MustNewConstMetric(p.waited, prometheus.CounterValue, float64(now.WaitDurationNs)/1e9)
	to <- prometheus.MustNewConstMetric(p.timeouts, prometheus.CounterValue, float64(now.Timeouts))
}
