package tool

import (
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Progress shows how much is done, in percent: on the output if enabled, otherwise once on the error output for each SIGUSR1.
type Progress struct {
	t    *Tool
	skip float32 // least step shown

	mu            sync.Mutex
	enabled       bool
	asked         chan os.Signal
	current, last float32
}

// NewProgress begins.
func (t *Tool) NewProgress(enabled bool, skip float32) *Progress {
	p := &Progress{t: t, enabled: enabled, skip: skip}
	if !enabled {
		p.asked = make(chan os.Signal, 1)
		signal.Notify(p.asked, unix.SIGUSR1)
	}
	return p
}

// End finishes the line.
func (p *Progress) End() {
	if p.enabled {
		p.t.Printf("\n")
		return
	}
	signal.Stop(p.asked)
}

// Set says what is done, 0 to 100.
func (p *Progress) Set(percent float32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(percent)
}

// Add says what was done more.
func (p *Progress) Add(percent float32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(p.current + percent)
}

func (p *Progress) show(percent float32) {
	percent = min(percent, 100)
	p.current = percent
	if percent <= p.last+p.skip && percent >= p.last-p.skip && percent != 100 && percent != 0 {
		return
	}
	p.last = percent
	if p.enabled {
		p.t.Printf("    (%3.2f/100%%)\r", percent)
		p.t.Out.Flush()
		return
	}
	select {
	case <-p.asked:
		fmt.Fprintf(p.t.Err, "    (%3.2f/100%%)\n", percent)
	default:
	}
}
