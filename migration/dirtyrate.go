package migration

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"goemu/internal/memory"
)

// DirtyRateMode is how the dirty rate is measured, under QMP's names.
type DirtyRateMode string

// The modes. DirtyRing needs a ring that no accelerator has here.
const (
	PageSampling DirtyRateMode = "page-sampling"
	DirtyRing    DirtyRateMode = "dirty-ring"
	DirtyBitmap  DirtyRateMode = "dirty-bitmap"
)

// DirtyRate is a measurement of how fast the guest writes to memory, under way or the last one.
type DirtyRate struct {
	Status      string // unstarted, measuring or measured
	Mode        DirtyRateMode
	Began       int64  // seconds of the host's monotonic clock
	Period      int64  // seconds
	SamplePages uint64 // of each GiB, if pages are sampled
	Rate        int64  // MiB a second, once measured
}

// Limits of measurements.
const (
	minRatePeriod, maxRatePeriod   = 1, 60 // seconds
	minSamples, maxSamples         = 128, 16384
	defaultSamples                 = 512
	minSampledBlock                = 128 << 10 // bytes: blocks that are smaller are left out
	measuring, measured, unstarted = "measuring", "measured", "unstarted"
)

// rateMeter measures dirty rates, one at a time.
type rateMeter struct {
	mu   sync.Mutex
	last DirtyRate
	quit chan struct{} // closed when the process ends
	wg   sync.WaitGroup
}

// MeasureDirtyRate begins to measure for a period in seconds. samples is the number of pages of each GiB that are looked at, nil: a default.
func (e *Engine) MeasureDirtyRate(period int64, samples *int64, mode DirtyRateMode) error {
	m := &e.rate
	m.mu.Lock()
	defer m.mu.Unlock()
	n := int64(defaultSamples)
	if samples != nil {
		n = *samples
	}
	switch {
	case m.last.Status == measuring:
		return errors.New("the dirty rate is already being measured.")
	case period < minRatePeriod || period > maxRatePeriod:
		return fmt.Errorf("calc-time is out of range[%d, %d].", minRatePeriod, maxRatePeriod)
	case samples != nil && mode == DirtyRing:
		return errors.New("either sample-pages or dirty-ring can be specified.")
	case n < minSamples || n > maxSamples:
		return fmt.Errorf("sample-pages is out of range[%d, %d].", minSamples, maxSamples)
	case mode == DirtyRing:
		return fmt.Errorf("mode %s is not enabled, use other method instead.", mode)
	}
	m.last = DirtyRate{Status: measuring, Mode: mode, Began: uptime(), Period: period, SamplePages: uint64(n)}
	m.wg.Go(func() {
		rate, ok := e.measure(mode, time.Duration(period)*time.Second, uint64(n))
		m.mu.Lock()
		defer m.mu.Unlock()
		m.last.Status, m.last.Rate = measured, rate
		if mode == DirtyBitmap {
			m.last.SamplePages = 0
		}
		if !ok {
			m.last.Status = unstarted
		}
	})
	return nil
}

// uptime is the host's monotonic clock in seconds.
func uptime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // there always
	return ts.Sec
}

// DirtyRate returns what is known of the last measurement.
func (e *Engine) DirtyRate() DirtyRate {
	e.rate.mu.Lock()
	defer e.rate.mu.Unlock()
	return e.rate.last
}

// measure waits for a period and returns the rate in MiB a second; ok is false if the process ends first.
func (e *Engine) measure(mode DirtyRateMode, period time.Duration, samples uint64) (rate int64, ok bool) {
	begin, end := e.sampleStart, e.sampleEnd
	if mode == DirtyBitmap {
		begin, end = e.logStart, e.logEnd
	}
	p := probe{samples: samples}
	withMachine(func() { begin(&p) })
	if mode == DirtyBitmap && e.M.Log != nil {
		e.M.Log()
	}
	began := time.Now()
	select {
	case <-time.After(period):
		ok = true
	case <-e.rate.quit:
	}
	var bytes float64
	withMachine(func() { bytes = end(&p) })
	return int64(bytes / time.Since(began).Seconds() / (1 << 20)), ok
}

// probe is what a measurement remembers between its two looks at memory.
type probe struct {
	samples uint64 // of each GiB
	blocks  []*memory.RAMBlock
	pages   [][]sample // of each block
}

// sample is a page of which the content is compared.
type sample struct {
	page uint64
	sum  uint32
}

func sumOf(b *memory.RAMBlock, page uint64) uint32 {
	return crc32.ChecksumIEEE(b.Bytes()[page<<memory.PageBits : (page+1)<<memory.PageBits])
}

// memory lists the blocks of RAM, none before there is a machine.
func (e *Engine) memory() []*memory.RAMBlock {
	if e.M.RAM == nil {
		return nil
	}
	return e.M.RAM()
}

// sampleStart notes the content of random pages.
func (e *Engine) sampleStart(p *probe) {
	for _, b := range e.memory() {
		n := b.Size() * p.samples >> 30
		if b.Size() < minSampledBlock || n == 0 {
			continue
		}
		list := make([]sample, n)
		for i := range list {
			page := rand.Uint64N(b.Size() >> memory.PageBits)
			list[i] = sample{page, sumOf(b, page)}
		}
		p.blocks, p.pages = append(p.blocks, b), append(p.pages, list)
	}
}

// sampleEnd tells how many bytes have changed if all pages are like the samples.
func (e *Engine) sampleEnd(p *probe) float64 {
	var size, seen, changed uint64
	for i, b := range p.blocks {
		if !slices.Contains(e.memory(), b) { // a memory module that was taken out
			continue
		}
		size += b.Size()
		for _, s := range p.pages[i] {
			seen++
			if sumOf(b, s.page) != s.sum {
				changed++
			}
		}
	}
	return float64(size) * float64(changed) / float64(max(seen, 1))
}

// noPages is a bitmap that is empty and has a bit for each page of a block.
func noPages(b *memory.RAMBlock) []uint64 { return make([]uint64, (b.Size()>>memory.PageBits+64)/64) }

// logStart begins to log which pages are written to.
func (e *Engine) logStart(p *probe) {
	p.blocks = slices.Clone(e.memory())
	for _, b := range p.blocks {
		b.Track(memory.DirtyRate)
		b.Collect(memory.DirtyRate, noPages(b)) // an accelerator may take all pages for written to at first
	}
}

// logEnd ends the log and tells how many bytes it has.
func (e *Engine) logEnd(p *probe) (bytes float64) {
	for _, b := range p.blocks {
		bytes += float64(b.Collect(memory.DirtyRate, noPages(b)) * memory.PageSize)
		b.Untrack(memory.DirtyRate)
	}
	return bytes
}

// close ends a measurement under way.
func (m *rateMeter) close() {
	close(m.quit)
	m.wg.Wait()
}
