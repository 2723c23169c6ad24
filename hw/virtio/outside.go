package virtio

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"goemu/hw/virtio/ring"
	"goemu/internal/memory"
	"goemu/internal/vhostuser"
)

// Server is who serves rings in another process.
type Server interface {
	// Session is the present connection, nil if there is none.
	Session() *vhostuser.Session
	// Accepted tells which of the server's features the driver has accepted.
	Accepted(f uint64)
}

// Outside lets another process serve queues of a device, those for which HandOver was called.
type Outside struct {
	Server Server
	// Offers are the features of which the server decides whether they are offered.
	Offers uint64
	// Own are those of them that are offered whether the server has them or not.
	Own uint64
	// Greet, if not nil, is called with each session before its rings are started.
	Greet func(*vhostuser.Session)
	// Warn gets a text for the user.
	Warn func(text string)
	// Enabled tells whether the driver uses a queue now.
	Enabled func(q *Queue) bool

	dev      *Device
	features uint64 // of the last server

	mu  sync.Mutex // taken after the machine lock
	run *served    // guarded by mu: nil while no rings are outside
}

// served is rings that are outside.
type served struct {
	s      *vhostuser.Session
	mem    *memory.AddressSpace
	rings  []*outsideRing
	table  []vhostuser.Region
	blocks []*memory.RAMBlock // of the regions
	log    *writeLog          // nil while nothing is logged
}

// outsideRing is a queue with the events that it is told of.
type outsideRing struct {
	vhostuser.Ring
	q      *Queue
	call   *os.File
	done   chan struct{} // closed when nobody listens for calls any more
	direct func()        // not nil: ends that a kernel may take calls
}

// SetOutside lets queues be handed over.
func (d *Device) SetOutside(o *Outside) { d.outside, o.dev = o, d }

// HandOver lets the queue be served outside from the next start on.
func (q *Queue) HandOver() {
	q.outside = true
	q.event.Store(noEvent)
}

// noEvent is the descriptor of a queue without an event.
const noEvent = -1

// Limit takes features away that the server does not have.
func (o *Outside) Limit(f uint64) uint64 {
	if s := o.Server.Session(); s != nil {
		o.features = s.Features
	}
	const never = 1<<FeatureIOMMUPlatform | 1<<FeatureRingPacked | 1<<FeatureRingReset
	return f &^ never & (^o.Offers | o.features | o.Own)
}

// Update starts or stops the rings: on says whether driver and machine are ready. Preconditions: the machine lock is held.
func (o *Outside) Update(on bool) {
	s := o.Server.Session()
	if s == nil || s.Err() != nil {
		on = false
	}
	if o.update(s, on) {
		o.dev.mem.Listen(o)
	}
}

// update is Update without the hearing of changes of memory; started tells that this has to begin.
func (o *Outside) update(s *vhostuser.Session, on bool) (started bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.run != nil && (!on || o.run.s != s) {
		o.stop()
	}
	if !on || o.run != nil {
		return false
	}
	if err := o.start(s); err != nil {
		o.Warn(fmt.Sprintf("unable to start vhost: %v", err))
		return false
	}
	return true
}

// EnableChanged tells the server which queues the driver uses. Preconditions: the machine lock is held.
func (o *Outside) EnableChanged() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.run != nil {
		_ = o.run.enable(o) // an error ends the session, which is heard of
	}
}

func (r *served) enable(o *Outside) error {
	for _, ring := range r.rings {
		if err := r.s.EnableRing(ring.Index, o.Enabled(ring.q)); err != nil {
			return err
		}
	}
	return nil
}

// start gives the rings to the server. Preconditions: mu is held.
func (o *Outside) start(s *vhostuser.Session) error {
	r := &served{s: s, mem: o.dev.mem}
	accepted := o.dev.GuestFeatures() & (o.Offers | 1<<FeatureVersion1) &^ (o.Own &^ s.Features)
	o.Server.Accepted(accepted & s.Features)
	if o.Greet != nil {
		o.Greet(s)
	}
	if err := s.SetFeatures(accepted); err != nil {
		return err
	}
	if err := r.setMemory(); err != nil {
		return err
	}
	for _, q := range o.dev.queues {
		if !q.outside || !q.ring.Ready() {
			continue
		}
		ring, err := r.ring(q)
		if err == nil {
			r.rings = append(r.rings, ring)
			err = s.StartRing(&ring.Ring, false)
		}
		if err != nil {
			r.end()
			return err
		}
	}
	if err := r.enable(o); err != nil {
		r.end()
		return err
	}
	for _, ring := range r.rings {
		if t, ok := o.dev.transport.(DirectTransport); ok {
			ring.direct = t.DirectInterrupts(ring.q, ring.Call)
		}
		go ring.listen()
		ring.q.setEvent(ring.Kick)
		ring.q.kickOutside() // the driver may have added buffers before
	}
	o.run = r
	for _, b := range r.blocks {
		b.AddWatcher(o)
	}
	o.follow()
	return nil
}

// setMemory tells the server where memory is.
func (r *served) setMemory() error {
	table, blocks, err := regions(r.mem.View())
	if err != nil {
		return err
	}
	r.table, r.blocks = table, blocks
	return r.s.SetMemory(table)
}

// regions are the pieces of guest memory that others can map.
func regions(v *memory.FlatView) (list []vhostuser.Region, blocks []*memory.RAMBlock, err error) {
	for i := range v.Ranges {
		r := &v.Ranges[i]
		if r.RAM == nil || r.ReadOnly {
			continue
		}
		fd, ok := r.RAM.File()
		if !ok {
			continue
		}
		n := vhostuser.Region{Guest: r.Start, Size: r.Last - r.Start + 1, User: hostAddress(r.RAM) + r.Offset, Offset: r.Offset, FD: fd}
		if k := len(list); k > 0 && list[k-1].Guest+list[k-1].Size == n.Guest && list[k-1].User+list[k-1].Size == n.User {
			list[k-1].Size += n.Size
			continue
		}
		list, blocks = append(list, n), append(blocks, r.RAM)
	}
	switch {
	case len(list) == 0:
		return nil, nil, fmt.Errorf("Failed initializing vhost-user memory map, consider using -object memory-backend-file share=on")
	case len(list) > vhostuser.MaxRegions:
		return nil, nil, fmt.Errorf("vhost-user can be told of %d pieces of memory, not %d", vhostuser.MaxRegions, len(list))
	}
	return list, blocks, nil
}

func hostAddress(b *memory.RAMBlock) uint64 { return uint64(uintptr(b.Host())) }

// ring prepares a queue for the server.
func (r *served) ring(q *Queue) (ring *outsideRing, err error) {
	ring = &outsideRing{q: q, done: make(chan struct{})}
	ring.Ring = vhostuser.Ring{Index: q.Index, Size: q.Num, Next: q.ring.Position().Avail.Index, UsedGuest: q.Used, Kick: -1, Call: -1}
	for _, a := range []struct {
		guest uint64
		to    *uint64
	}{{q.Desc, &ring.Desc}, {q.Avail, &ring.Avail}, {q.Used, &ring.Used}} {
		i := slices.IndexFunc(r.table, func(x vhostuser.Region) bool { return a.guest >= x.Guest && a.guest-x.Guest < x.Size })
		if i < 0 {
			return nil, fmt.Errorf("the rings of queue %d are not in memory that can be shared", q.Index)
		}
		*a.to = r.table[i].User + (a.guest - r.table[i].Guest)
	}
	if ring.Kick, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	if ring.Call, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(ring.Kick)
		return nil, err
	}
	ring.call = os.NewFile(uintptr(ring.Call), "call")
	return ring, nil
}

// listen hands the server's calls on to the driver, until end.
func (ring *outsideRing) listen() {
	defer close(ring.done)
	var b [8]byte
	for {
		if _, err := ring.call.Read(b[:]); err != nil {
			return
		}
		ring.q.interrupt()
	}
}

// end releases the events of rings that have not been started.
func (r *served) end() {
	for _, ring := range r.rings {
		_ = ring.call.Close()
		_ = unix.Close(ring.Kick)
	}
}

// stop takes the rings back. Preconditions: mu is held.
func (o *Outside) stop() {
	r := o.run
	o.run = nil
	r.mem.Unlisten(o)
	for _, x := range r.rings {
		x.q.setEvent(noEvent)
		next, err := r.s.StopRing(x.Index)
		if err == nil {
			err = x.q.ring.Restore(ring.Position{Avail: ring.Place{Index: next}}, 0)
		}
		if err != nil { // the server is lost, or talks nonsense: what it has given back counts
			x.q.ring.Resync()
		}
		if x.direct != nil {
			x.direct()
		}
		_ = x.call.SetReadDeadline(time.Unix(1, 0))
		<-x.done
		var b [8]byte
		if n, _ := unix.Read(x.Call, b[:]); n == len(b) {
			x.q.interrupt()
		}
	}
	r.end()
	for _, b := range r.blocks {
		b.RemoveWatcher(o)
	}
	if r.log != nil {
		r.harvest(nil)
		r.log.close()
	}
}

// ViewChanged implements memory.Listener.
func (o *Outside) ViewChanged(removed, added []memory.Range) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.run
	if r == nil {
		return
	}
	table, blocks, err := regions(r.mem.View())
	if err == nil && slices.Equal(table, r.table) {
		return
	}
	if err == nil {
		if r.log != nil {
			r.harvest(nil)
		}
		for _, b := range r.blocks {
			b.RemoveWatcher(o)
		}
		r.table, r.blocks = table, blocks
		for _, b := range r.blocks {
			b.AddWatcher(o)
		}
		if err = r.s.SetMemory(table); err == nil && r.log != nil && r.log.size() < logSize(table) {
			r.log.close()
			r.log = nil
			o.follow()
		}
	}
	if err != nil {
		o.Warn(err.Error())
	}
}

// setEvent changes the descriptor by which the queue's server is told of new chains.
func (q *Queue) setEvent(fd int) {
	q.kicking.Lock()
	defer q.kicking.Unlock()
	q.event.Store(int32(fd))
}

// kickOutside tells the server of new chains; false if there is none. It needs no lock.
func (q *Queue) kickOutside() bool {
	if q.event.Load() == noEvent {
		return false
	}
	q.kicking.RLock()
	defer q.kicking.RUnlock()
	fd := int(q.event.Load())
	if fd == noEvent {
		return false
	}
	_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full: it is told already
	return true
}
