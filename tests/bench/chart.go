package main

import (
	"bytes"
	"fmt"
	"math"
)

// chart draws the ratios as bars on a logarithmic scale; the line is parity with QEMU.
func chart(rows []row) []byte {
	const left, width, bar = 120, 560, 18
	var b bytes.Buffer
	hi, lo := 1.0, 1.0
	for _, r := range rows {
		hi, lo = max(hi, r.ratio()), min(lo, r.ratio())
	}
	x := func(v float64) float64 {
		return left + width*(math.Log(v)-math.Log(lo))/(math.Log(hi)-math.Log(lo)+1e-9)
	}
	height := bar*len(rows) + 50
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", left+width+80, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="18" font-size="13">goemu against QEMU 7.2 TCG: times faster (log scale)</text>`+"\n")
	for i, r := range rows {
		y := 30 + i*bar
		x0, x1 := x(1), x(r.ratio())
		colour := "#3a7d44"
		if r.ratio() < 1 {
			colour = "#b23a48"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%.2f×</text>`+"\n",
			left-6, y+12, r.Name, min(x0, x1), y+2, math.Abs(x1-x0), bar-4, colour, max(x0, x1)+4, y+12, r.ratio())
	}
	fmt.Fprintf(&b, `<line x1="%.1f" y1="26" x2="%.1f" y2="%d" stroke="black"/></svg>`+"\n", x(1), x(1), height-16)
	return b.Bytes()
}
