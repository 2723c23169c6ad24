package virtio

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"goemu/internal/memory"
	"goemu/internal/vhostuser"
)

// writeLog is memory in which a server marks the pages of guest memory that it writes to, a bit for each.
type writeLog struct {
	fd   int
	mem  []byte
	bits []atomic.Uint64
}

// logSize is how many bytes a log of the regions has.
func logSize(table []vhostuser.Region) (n uint64) {
	for _, r := range table {
		n = max(n, (r.Guest+r.Size-1)/vhostuser.LogPage/64*8+8)
	}
	return n
}

func newWriteLog(size uint64) (l *writeLog, err error) {
	l = new(writeLog)
	if l.fd, err = unix.MemfdCreate("vhost-log", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return nil, err
	}
	if err = unix.Ftruncate(l.fd, int64(size)); err == nil {
		// The other side must not be able to take memory away that is looked at here.
		_, err = unix.FcntlInt(uintptr(l.fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err == nil {
		l.mem, err = unix.Mmap(l.fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		_ = unix.Close(l.fd)
		return nil, err
	}
	l.bits = unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(l.mem))), size/8)
	return l, nil
}

func (l *writeLog) size() uint64 { return uint64(len(l.mem)) }

func (l *writeLog) close() {
	l.bits = nil
	_ = unix.Munmap(l.mem)
	_ = unix.Close(l.fd)
}

// follow lets writes be logged as long as somebody tracks them. Preconditions: mu is held, rings are outside.
func (o *Outside) follow() {
	r := o.run
	on := slices.ContainsFunc(r.blocks, (*memory.RAMBlock).Tracked)
	if on == (r.log != nil) || !r.s.Knows(vhostuser.ProtocolLogShmFD) || r.s.Features>>vhostuser.FeatureLogAll&1 == 0 {
		return
	}
	features := o.dev.GuestFeatures() & (o.Offers | 1<<FeatureVersion1)
	if on {
		l, err := newWriteLog(logSize(r.table))
		if err != nil {
			o.Warn(err.Error())
			return
		}
		if r.s.SetLog(l.fd, l.size()) != nil { // the session has ended
			l.close()
			return
		}
		r.log = l
		features |= 1 << vhostuser.FeatureLogAll
	}
	if r.s.SetFeatures(features) != nil {
		return
	}
	for _, ring := range r.rings {
		if r.s.SetRingAddress(&ring.Ring, on) != nil {
			return
		}
	}
	if !on {
		r.log.close()
		r.log = nil
	}
}

// harvest marks the logged pages of a block, or of all for nil, and clears the log of them.
func (r *served) harvest(b *memory.RAMBlock) {
	for i, region := range r.table {
		block := r.blocks[i]
		if b != nil && b != block {
			continue
		}
		first, last := region.Guest/vhostuser.LogPage, (region.Guest+region.Size-1)/vhostuser.LogPage
		for w := first / 64; w <= last/64 && w < uint64(len(r.log.bits)); w++ {
			if r.log.bits[w].Load() == 0 {
				continue
			}
			mask := ^uint64(0)
			if w == first/64 {
				mask &= ^uint64(0) << (first % 64)
			}
			if w == last/64 {
				mask &= ^uint64(0) >> (63 - last%64)
			}
			for v := r.log.bits[w].And(^mask) & mask; v != 0; v &= v - 1 {
				page := w*64 + uint64(bits.TrailingZeros64(v))
				block.NotePage((region.Offset + (page-first)*vhostuser.LogPage) / memory.PageSize)
			}
		}
	}
}

// TrackChanged implements memory.Watcher.
func (o *Outside) TrackChanged(*memory.RAMBlock) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.run != nil {
		o.follow()
	}
}

// Sync implements memory.Watcher.
func (o *Outside) Sync(b *memory.RAMBlock) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.run != nil && o.run.log != nil {
		o.run.harvest(b)
	}
}

// Arm implements memory.Watcher: the server marks pages again by itself.
func (o *Outside) Arm(*memory.RAMBlock, uint64, uint64) {}
