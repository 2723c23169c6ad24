package ide

import (
	"context"

	"goemu/hw/disk"
)

// dmaKind is what a DMA command does.
type dmaKind uint8

const (
	dmaRead dmaKind = iota
	dmaWrite
	dmaTrim
	dmaATAPI
)

// retry is the kind in the bits of a bus's retry status.
func (k dmaKind) retry() int32 {
	return [...]int32{dmaRead: retryDMA | retryRead, dmaWrite: retryDMA, dmaTrim: retryTrim, dmaATAPI: retryATAPI}[k]
}

// step is how many sectors go through the data register next.
func (d *Drive) step() int { return int(min(d.regs.count, uint32(d.perStep))) }

// readSectors reads the next sectors for the data register.
func (d *Drive) readSectors() {
	d.status, d.err = StatusReady|StatusSeek, 0
	n, lba := d.step(), d.LBA()
	if n == 0 {
		d.stopTransfer()
		return
	}
	d.status |= StatusBusy
	if !d.inRange(lba, int64(n)) {
		d.abort()
		d.bus.raise()
		return
	}
	buf := d.buf[:n*SectorSize]
	if d.backend.TryReadV(lba*SectorSize, [][]byte{buf}) {
		d.sectorsRead(n, nil)
		return
	}
	d.pio = d.bus.jobs.Go(func() error { return d.backend.Read(context.Background(), lba*SectorSize, buf) }, func(err error) {
		d.pio = nil
		d.sectorsRead(n, err)
	})
}

func (d *Drive) sectorsRead(n int, err error) {
	d.status &^= StatusBusy
	if err != nil && d.failed(err, retryPIO|retryRead, false) {
		return
	}
	d.setLBA(d.LBA() + int64(n))
	d.regs.count -= uint32(n)
	d.begin(0, n*SectorSize, endReadSectors)
	d.bus.raise()
}

// startWrite lets the guest fill the buffer with the first sectors.
func (d *Drive) startWrite() {
	d.status = StatusReady | StatusSeek
	d.begin(0, d.step()*SectorSize, endWriteSectors)
	d.mediaChanged = true
}

// writeSectors writes the buffer that the guest has filled.
func (d *Drive) writeSectors() {
	d.status = StatusReady | StatusSeek | StatusBusy
	n, lba := d.step(), d.LBA()
	if !d.inRange(lba, int64(n)) {
		d.abort()
		d.bus.raise()
		return
	}
	buf := d.buf[:n*SectorSize]
	d.pio = d.bus.jobs.Go(func() error { return d.backend.Write(context.Background(), lba*SectorSize, buf, 0) }, func(err error) {
		d.pio = nil
		d.status &^= StatusBusy
		if err != nil && d.failed(err, retryPIO, true) {
			return
		}
		d.regs.count -= uint32(n)
		d.setLBA(d.LBA() + int64(n))
		if d.regs.count == 0 {
			d.stopTransfer()
		} else {
			d.begin(0, d.step()*SectorSize, endWriteSectors)
		}
		d.bus.raise()
	})
}

// flush makes the host write its caches out.
func (d *Drive) flush() {
	if d.backend == nil {
		d.flushed(nil)
		return
	}
	d.status |= StatusBusy
	d.keepForRetry()
	d.pio = d.bus.jobs.Go(func() error { return d.backend.Flush(context.Background()) }, func(err error) {
		d.pio = nil
		d.flushed(err)
	})
}

func (d *Drive) flushed(err error) {
	if err != nil && d.failed(err, retryFlush, true) {
		return
	}
	d.status = StatusReady | StatusSeek
	d.bus.DMA.Done()
	d.bus.raise()
}

// startDMA begins a DMA command of regs.count sectors.
func (d *Drive) startDMA(k dmaKind) {
	d.status = StatusReady | StatusSeek | StatusDRQ
	d.described, d.prepared, d.dma = 0, 0, k
	d.keepForRetry()
	d.bus.DMA.Start(d.nextDMA)
}

// nextDMA takes stock of the memory that the adapter has and moves what fits.
func (d *Drive) nextDMA() {
	n, lba := int64(d.regs.count), d.LBA()
	sg, described := d.bus.DMA.Prepare(n * SectorSize)
	d.described, d.prepared = described, sg.Size
	if sg.Size < n*SectorSize { // the guest's table is too short: no interrupt, and the adapter is not active any more
		d.status = StatusReady | StatusSeek
		d.bus.DMA.Commit(0)
		d.endDMA(false)
		return
	}
	if d.dma != dmaTrim && !d.inRange(lba, n) {
		d.dmaFailed()
		return
	}
	done := func(err error) {
		d.dmaJob = nil
		d.dmaDone(err)
	}
	switch d.dma {
	case dmaRead:
		d.dmaJob = sg.Read(&d.bus.jobs, d.backend, lba*SectorSize, done)
	case dmaWrite:
		d.dmaJob = sg.Write(&d.bus.jobs, d.backend, lba*SectorSize, 0, done)
	case dmaTrim:
		d.dmaJob = d.trim(sg, done)
	}
}

// dmaDone ends a DMA command.
func (d *Drive) dmaDone(err error) {
	if err != nil && d.failed(err, d.dma.retry(), d.dma != dmaRead) {
		if d.bus.retry.status != 0 {
			d.bus.DMA.Commit(0)
		}
		return
	}
	n := int64(d.regs.count)
	d.bus.DMA.Commit(d.prepared)
	d.setLBA(d.LBA() + n)
	d.regs.count = 0
	d.status = StatusReady | StatusSeek
	d.bus.raise()
	d.endDMA(d.described > n*SectorSize)
}

func (d *Drive) endDMA(more bool) {
	d.bus.retry.status = 0
	d.bus.DMA.Stop(more)
	d.bus.DMA.Done()
}

// dmaFailed ends a DMA command with an error.
func (d *Drive) dmaFailed() {
	d.bus.DMA.Commit(0)
	d.abort()
	d.endDMA(false)
	d.bus.raise()
}

// trimEntry is the length of an entry of a trim list: 48 bits of address, 16 bits of count, in sectors.
const trimEntry = 8

// errTrim is a trim list that reaches beyond the medium.
type errTrim struct{}

func (errTrim) Error() string { return "trim beyond the end of the disk" }

// trim discards what a list in memory names.
func (d *Drive) trim(sg *disk.SG, done func(error)) *disk.Job {
	list := make([]byte, min(sg.Size, bufferBytes))
	list = list[:sg.Load(list)]
	backend := d.backend
	total := d.sectorsTotal
	return d.bus.jobs.Go(func() error {
		for ; len(list) >= trimEntry; list = list[trimEntry:] {
			entry := le.Uint64(list)
			lba, n := entry&(1<<48-1), entry>>48
			switch {
			case n == 0:
			case lba > total || n > total-lba:
				return errTrim{}
			default:
				if err := backend.Discard(context.Background(), int64(lba)*SectorSize, int64(n)*SectorSize); err != nil {
					return err
				}
			}
		}
		return nil
	}, func(err error) {
		if _, ok := err.(errTrim); ok {
			d.dmaJob = nil
			d.dmaFailed()
			return
		}
		done(err)
	})
}
