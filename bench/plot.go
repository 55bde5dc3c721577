package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
)

// The plot's size in pixels. Both axes are logarithmic.
const (
	plotWidth, plotHeight = 640.0, 360.0
	plotLeft, plotTop     = 60.0, 20.0
	plotRight, plotBottom = 600.0, 270.0
)

// chart is latency against load.
type chart struct {
	bytes.Buffer

	first, last int // connections
	least, most time.Duration
}

func (c *chart) line(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\n", args...) }

func (c *chart) x(connections int) float64 {
	return plotLeft + (plotRight-plotLeft)*math.Log(float64(connections)/float64(c.first))/math.Log(float64(c.last)/float64(c.first))
}

func (c *chart) y(d time.Duration) float64 {
	return plotBottom - (plotBottom-plotTop)*math.Log(float64(d)/float64(c.least))/math.Log(float64(c.most)/float64(c.least))
}

// plot draws the latency of each target as SVG: p50 as a solid line, p99 as a dashed
// one.
func (p *part) plot() []byte {
	c := &chart{first: p.connections[0], last: p.connections[len(p.connections)-1], least: math.MaxInt64}
	for _, cell := range p.cells {
		c.least, c.most = min(c.least, percentile(cell.latencies, 50)), max(c.most, percentile(cell.latencies, 99))
	}
	c.line(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`, plotWidth, plotHeight)
	c.axes(p.connections)
	for i, t := range p.targets {
		color := []string{"#d62728", "#1f77b4", "#7f7f7f", "#2ca02c"}[i%4]
		for percent, dashes := range map[int]string{50: "none", 99: "5 3"} {
			var points strings.Builder
			for _, n := range p.connections {
				_, _ = fmt.Fprintf(&points, "%.1f,%.1f ", c.x(n), c.y(percentile(p.cell(t.name, n).latencies, percent)))
			}
			c.line(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`, &points, color, dashes)
		}
		c.line(`<text x="%g" y="%g" fill="%s">%s: p50 ——, p99 - -</text>`, plotLeft+float64(i%2)*270, plotBottom+56+float64(i/2)*18, color, t.name)
	}
	c.line(`</svg>`)
	return c.Bytes()
}

func (c *chart) axes(connections []int) {
	c.line(`<rect width="100%%" height="100%%" fill="white"/>`)
	c.line(`<path d="M%g %gV%gH%g" fill="none" stroke="black"/>`, plotLeft, plotTop, plotBottom, plotRight)
	for _, n := range connections {
		c.line(`<text x="%.0f" y="%g" text-anchor="middle">%d</text>`, c.x(n), plotBottom+16, n)
	}
	c.line(`<text x="%g" y="%g" text-anchor="middle">connections</text>`, (plotLeft+plotRight)/2, plotBottom+34)
	for d := 100 * time.Microsecond; d <= c.most; d *= 10 {
		for _, mark := range []time.Duration{d, 2 * d, 5 * d} {
			if c.least <= mark && mark <= c.most {
				c.line(`<path d="M%g %.1fH%g" stroke="lightgray"/>`, plotLeft, c.y(mark), plotRight)
				c.line(`<text x="%g" y="%.1f" text-anchor="end">%v</text>`, plotLeft-6, c.y(mark)+4, mark)
			}
		}
	}
}
