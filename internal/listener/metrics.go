package listener

import "github.com/prometheus/client_golang/prometheus"

// observe registers the metrics of the connections. name is the label of the listener.
func (a *connections) observe(name string, r prometheus.Registerer) {
	labels := prometheus.Labels{"listener": name}
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dropgate_connections_open", Help: "Open connections of callers, by listener: public or admin.", ConstLabels: labels,
		}, func() float64 {
			a.mu.Lock()
			defer a.mu.Unlock()
			return float64(len(a.open))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dropgate_connections_max", Help: "Most connections of callers at once. It depends on the limit of file descriptors at the start.", ConstLabels: labels,
		}, func() float64 { return float64(a.limit) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "dropgate_connections_evicted_total", Help: "Connections closed to make room for new ones, the slowest client's first.", ConstLabels: labels,
		}, func() float64 { return float64(a.evicted.Load()) }),
	)
}
