package tcg

import (
	"fmt"
	"io"
)

// usage is an engine with a code cache of limited size.
type usage interface {
	// Usage is how many bytes are in use, and how many there are.
	Usage() (used, size int)
}

// PrintInfo shows what the translator has made and how often it was dropped, for people.
func (a *Accel) PrintInfo(w io.Writer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var n, guest, longest, host, cross, linked, linked2 int
	for _, b := range a.table.byID {
		if b == nil || b.dead.Load() {
			continue
		}
		n++
		guest += b.bytes
		longest = max(longest, b.bytes)
		host += b.code.Size
		if b.page2 != nil {
			cross++
		}
		links := 0
		for i := range b.out {
			if b.out[i].to != nil {
				links++
			}
		}
		if links > 0 {
			linked++
		}
		if links > 1 {
			linked2++
		}
	}
	fmt.Fprintf(w, "Translation buffer state:\n")
	if u, ok := a.engine.(usage); ok {
		used, size := u.Usage()
		fmt.Fprintf(w, "gen code size       %d/%d\n", used, size)
	}
	of := max(n, 1)
	fmt.Fprintf(w, "TB count            %d\n", n)
	fmt.Fprintf(w, "TB avg target size  %d max=%d bytes\n", guest/of, longest)
	fmt.Fprintf(w, "TB avg host size    %d bytes (expansion ratio: %0.1f)\n", host/of, float64(host)/float64(max(guest, 1)))
	fmt.Fprintf(w, "cross page TB count %d (%d%%)\n", cross, 100*cross/of)
	fmt.Fprintf(w, "direct jump count   %d (%d%%) (2 jumps=%d %d%%)\n", linked, 100*linked/of, linked2, 100*linked2/of)
	fmt.Fprintf(w, "\nStatistics:\nTB flush count      %d\nTB invalidate count %d\n", a.epoch.Load(), a.killed)
}
