package blk

import (
	"context"
	"errors"
	"fmt"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/hw/virtio/ring"
)

// Limits of the options.
const (
	minBlock = 512
	maxBlock = 2 << 20

	maxCyls, maxHeads, maxSecs = 65535, 255, 255
)

// backendName is the path of the device in the object tree, which messages name it by; empty for a device without identifier.
func backendName(id string) string {
	if id == "" {
		return ""
	}
	return "/machine/peripheral/" + id + "/virtio-backend"
}

// claim takes the disk with the permissions that the options ask for.
func (m *Model) claim(user string) error {
	src := m.Props.Drive
	if src == nil {
		return errors.New("drive property not set")
	}
	b, err := src.Claim(backendName(user))
	if err != nil {
		return err
	}
	if b == nil {
		src.Release()
		return errors.New("Device needs media, but drive is empty")
	}
	if err := m.request(b); err != nil {
		src.Release()
		return err
	}
	switch m.Props.WriteCache {
	case qdev.On:
		b.SetWriteCache(true)
	case qdev.Off:
		b.SetWriteCache(false)
	}
	m.backend = b
	return nil
}

// request asks for the permissions that the options mean.
func (m *Model) request(b *block.Backend) error {
	used := block.PermConsistentRead
	if !b.ReadOnly() {
		used |= block.PermWrite
	}
	shared := block.PermConsistentRead | block.PermWriteUnchanged | block.PermResize
	if m.Props.ShareRW {
		shared |= block.PermWrite
	}
	b.Graph().Lock()
	defer b.Graph().Unlock()
	return b.SetPerm(used, shared)
}

// release gives the disk back.
func (m *Model) release() {
	if m.backend != nil {
		_ = m.backend.Flush(context.Background()) // nobody is left to hear of a failure
		m.Props.Drive.Release()
		m.backend = nil
	}
}

// check checks the options, in QEMU's order and words.
func (m *Model) check() error {
	for _, f := range []func() error{m.checkQueues, m.checkSizes, m.checkLimits} {
		if err := f(); err != nil {
			return err
		}
	}
	geo, err := m.findGeometry()
	m.geo = geo
	m.setErrorPolicy()
	return err
}

func (m *Model) checkQueues() error {
	p := &m.Props
	switch {
	case p.NumQueues == 0:
		return errors.New("num-queues property must be larger than 0")
	case p.QueueSize <= 2:
		return fmt.Errorf("invalid queue-size property (%d), must be > 2", p.QueueSize)
	case p.QueueSize&(p.QueueSize-1) != 0 || p.QueueSize > ring.MaxSize:
		return fmt.Errorf("invalid queue-size property (%d), must be a power of 2 (max %d)", p.QueueSize, ring.MaxSize)
	case p.NumQueues > ring.MaxSize:
		return fmt.Errorf("invalid number of queues %d, must be at most %d", p.NumQueues, ring.MaxSize)
	}
	return nil
}

// checkSizes checks the block sizes and fills in their defaults.
func (m *Model) checkSizes() error {
	p := &m.Props
	for _, s := range []struct {
		name string
		v    *qdev.Size
	}{{"logical_block_size", &p.LogicalBlock}, {"physical_block_size", &p.PhysicalBlock}} {
		switch n := uint64(*s.v); {
		case n == 0:
			*s.v = minBlock
		case n < minBlock || n > maxBlock:
			return fmt.Errorf("Property .%s doesn't take value %d (minimum: %d, maximum: %d)", s.name, n, minBlock, maxBlock)
		case n&(n-1) != 0:
			return fmt.Errorf("Property .%s doesn't take value '%d', it's not a power of 2", s.name, n)
		}
	}
	logical := p.LogicalBlock
	switch {
	case logical > p.PhysicalBlock:
		return errors.New("logical_block_size > physical_block_size not supported")
	case p.MinIO%logical != 0:
		return errors.New("min_io_size must be a multiple of logical_block_size")
	case p.MinIO/logical > 0xffff:
		return fmt.Errorf("min_io_size must not exceed %d logical blocks", 0xffff)
	case p.OptIO%logical != 0:
		return errors.New("opt_io_size must be a multiple of logical_block_size")
	case p.DiscardGrain != defaultDiscardGrain && p.DiscardGrain%logical != 0:
		return errors.New("discard_granularity must be a multiple of logical_block_size")
	}
	return nil
}

func (m *Model) checkLimits() error {
	p := &m.Props
	if p.Discard && (p.MaxDiscard == 0 || p.MaxDiscard > maxDiscardSectors) {
		return fmt.Errorf("invalid max-discard-sectors property (%d), must be between 1 and %d", p.MaxDiscard, maxDiscardSectors)
	}
	if p.WriteZeroes && (p.MaxZeroes == 0 || p.MaxZeroes > maxDiscardSectors) {
		return fmt.Errorf("invalid max-write-zeroes-sectors property (%d), must be between 1 and %d", p.MaxZeroes, maxDiscardSectors)
	}
	return nil
}

// geometry is what a BIOS of the last century calls the shape of a disk.
type geometry struct{ cyls, heads, secs uint32 }

// findGeometry takes the geometry from the options or guesses it.
func (m *Model) findGeometry() (geometry, error) {
	p := &m.Props
	g := geometry{p.Cyls, p.Heads, p.Secs}
	if g == (geometry{}) {
		return m.guessGeometry(), nil
	}
	switch {
	case g.cyls < 1 || g.cyls > maxCyls:
		return g, fmt.Errorf("cyls must be between 1 and %d", maxCyls)
	case g.heads < 1 || g.heads > maxHeads:
		return g, fmt.Errorf("heads must be between 1 and %d", maxHeads)
	case g.secs < 1 || g.secs > maxSecs:
		return g, fmt.Errorf("secs must be between 1 and %d", maxSecs)
	}
	return g, nil
}

// MBR partition table.
const (
	mbrTable, mbrEntry, mbrEntries = 0x1be, 16, 4
	mbrSignature, mbrMagic         = 510, 0xaa55
	mbrEndHead, mbrEndSector       = 5, 6
	mbrCount                       = 12

	guessMinCyls, guessMaxCyls  = 2, 16383
	standardHeads, standardSecs = 16, 63
)

// guessGeometry looks for a partition whose end tells the number of heads and sectors. Without one, and with more heads than a
// physical disk can have, the geometry is the usual one for the size.
func (m *Model) guessGeometry() geometry {
	total := m.capacity()
	standard := geometry{heads: standardHeads, secs: standardSecs}
	standard.cyls = uint32(min(max(total/(standardHeads*standardSecs), guessMinCyls), guessMaxCyls))
	sector := make([]byte, sectorSize)
	if total == 0 || m.backend.Read(context.Background(), 0, sector) != nil || le.Uint16(sector[mbrSignature:]) != mbrMagic {
		return standard
	}
	for i := range mbrEntries {
		e := sector[mbrTable+i*mbrEntry:]
		heads, secs := uint32(e[mbrEndHead])+1, uint32(e[mbrEndSector]&0x3f)
		if le.Uint32(e[mbrCount:]) == 0 || heads == 1 || secs == 0 {
			continue
		}
		cyls := total / uint64(heads*secs)
		if cyls < 1 || cyls > guessMaxCyls {
			continue
		}
		if heads > standardHeads {
			return standard
		}
		return geometry{uint32(cyls), heads, secs}
	}
	return standard
}
