package virtio

import (
	"sync"
	"sync/atomic"

	"goemu/hw/virtio/ring"
	"goemu/internal/mainloop"
)

// maxWorkers is the largest number of goroutines that serve a queue at the same time.
const maxWorkers = 32

// Handler serves a queue: it takes chains until there are none. It returns false if Rejoin did, otherwise true.
type Handler func(*Queue) bool

// Queue is a virtqueue of a Device with the goroutines that serve it. A goroutine that is about to wait for the host calls Spread, so
// that another one goes on with the queue: a single request is served without any hand-over, many in parallel.
type Queue struct {
	Index int
	// Try, if set, is called by Kick on the notifying goroutine; true means that the queue has been served completely.
	Try func(*Queue) bool

	dev        *Device
	ring       *ring.Queue
	handle     Handler
	onLoop     bool
	defaultNum uint16

	// Set by the driver, under the machine lock.
	Num               uint16
	Desc, Avail, Used uint64
	Enabled           bool
	Chosen            uint16 // size that a modern driver has written, zero if it has not
	Align             uint32 // of the used ring, legacy transports only
	vector            atomic.Uint32

	addressed bool // by SetAddress

	kick   chan struct{}
	posted atomic.Bool
	active atomic.Bool // between start and stop

	stalled atomic.Bool

	outside bool         // served by another process
	kicking sync.RWMutex // held while event is used
	event   atomic.Int32 // by which that is told of new chains

	mu      sync.Mutex // taken before the ring's own
	serving sync.Mutex // held by the goroutine that takes chains
	workers int        // guarded by mu
	idle    int        // guarded by mu: workers that wait for a kick
	quit    chan struct{}
	wg      sync.WaitGroup
}

// Device is the device that the queue belongs to.
func (q *Queue) Device() *Device { return q.dev }

// MaxNum is the size that the device offers.
func (q *Queue) MaxNum() uint16 { return q.defaultNum }

// Vector is the MSI-X vector of the queue. It needs no lock.
func (q *Queue) Vector() uint16 { return uint16(q.vector.Load()) }

// SetVector changes the MSI-X vector.
func (q *Queue) SetVector(v uint16) { q.vector.Store(uint32(v)) }

// reset puts the queue into its power-on state.
func (q *Queue) reset() {
	q.Num, q.Desc, q.Avail, q.Used, q.Enabled, q.Align = q.defaultNum, 0, 0, 0, false, ring.LegacyAlign
	q.Chosen, q.addressed = 0, false
	q.SetVector(NoVector)
	q.ring.Reset()
}

// ResetQueue is the reset of a single queue (VIRTIO_F_RING_RESET).
func (q *Queue) ResetQueue() {
	on := q.active.Load()
	q.dev.stop([]*Queue{q})
	vector := q.Vector()
	q.reset()
	q.SetVector(vector)
	if on {
		q.start()
	}
}

// SetAddress takes the one address of a legacy queue; zero takes the queue out of use.
func (q *Queue) SetAddress(desc uint64) {
	q.Desc, q.addressed = desc, true
	q.Avail, q.Used = ring.LegacyLayout(desc, uint32(q.Num), q.Align)
	q.Setup()
}

// SetNum takes the size that a driver of the modern interface chooses; impossible ones are ignored.
func (q *Queue) SetNum(n uint16) {
	q.Chosen = n
	if n != 0 && n <= ring.MaxSize {
		q.Num = n
	}
}

// Enable serves a queue that a driver enables after the device as a whole.
func (q *Queue) Enable() {
	if q.dev.started && !q.active.Load() {
		q.start()
	} else {
		q.Wake()
	}
}

// Written is the address of a ring (0 descriptors, 1 available, 2 used) as a modern driver has written it.
func (q *Queue) Written(ring int) uint64 {
	if q.addressed {
		return 0
	}
	return []uint64{q.Desc, q.Avail, q.Used}[ring]
}

// Setup takes the addresses and the size into use. Wrong values break the device when the queue is used.
func (q *Queue) Setup() {
	if q.Desc == 0 {
		return
	}
	c := ring.Config{
		Num: q.Num, Desc: q.Desc, Avail: q.Avail, Used: q.Used,
		EventIdx:      q.dev.Has(FeatureEventIdx),
		Indirect:      q.dev.Has(FeatureIndirectDesc),
		NotifyOnEmpty: q.dev.Has(FeatureNotifyOnEmpty),
		Packed:        q.dev.Has(FeatureRingPacked),
	}
	if err := q.ring.Setup(c); err != nil {
		q.dev.Fail(err)
	}
}

// Kick says that the queue may have new chains; it returns false if the queue is not served. It needs no lock and does not block.
func (q *Queue) Kick() bool {
	if q.outside {
		return q.kickOutside()
	}
	if !q.active.Load() {
		return false
	}
	if q.Try == nil || !q.tryInline() {
		q.wake()
	}
	return true
}

// Wake is Kick for callers that must not be held up, such as those with the machine lock: Try is not called.
func (q *Queue) Wake() {
	if q.outside {
		q.kickOutside()
		return
	}
	if q.active.Load() {
		q.wake()
	}
}

// tryInline serves the queue on the caller's goroutine if nobody else does.
func (q *Queue) tryInline() bool {
	if !q.serving.TryLock() {
		return false
	}
	defer q.serving.Unlock()
	return q.active.Load() && q.Try(q)
}

// wake makes the queue be served soon.
func (q *Queue) wake() {
	if q.onLoop {
		if q.posted.CompareAndSwap(false, true) {
			mainloop.Post(q.runOnLoop)
		}
		return
	}
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// runOnLoop serves the queue under the machine lock.
func (q *Queue) runOnLoop() {
	q.posted.Store(false)
	if q.active.Load() {
		q.drain()
	}
}

// drain calls the handler until the queue is empty and the driver will notify again, or somebody else has taken over: then it
// returns false.
func (q *Queue) drain() bool {
	for {
		q.ring.SetNotify(false)
		if !q.handle(q) {
			return false
		}
		if q.stalled.Swap(false) {
			q.ring.SetNotify(true)
			return true
		}
		if q.dev.Broken() || !q.ring.SetNotify(true) || !q.active.Load() {
			return true
		}
	}
}

// start serves the queue; called when the driver is ready and the machine runs.
func (q *Queue) start() {
	q.Setup()
	if q.outside {
		return
	}
	q.active.Store(true)
	if !q.onLoop {
		q.mu.Lock()
		q.quit = make(chan struct{})
		q.addWorker()
		q.mu.Unlock()
	}
	q.wake() // the driver may have added buffers before
}

// stop ends the serving of the queue and waits for the requests that are under way.
func (q *Queue) stop() {
	if !q.active.Swap(false) {
		return
	}
	if q.onLoop {
		return
	}
	q.mu.Lock()
	close(q.quit)
	q.mu.Unlock()
	q.wg.Wait()
	q.serving.Lock() // and for one that runs in Kick
	defer q.serving.Unlock()
}

// addWorker starts a goroutine.
// Preconditions: mu is held.
func (q *Queue) addWorker() {
	q.workers++
	quit := q.quit
	q.wg.Go(func() { q.work(quit) })
}

// work is a serving goroutine.
func (q *Queue) work(quit chan struct{}) {
	for {
		q.mu.Lock()
		q.idle++
		q.mu.Unlock()
		select {
		case <-quit:
			q.leave()
			return
		case <-q.kick:
		}
		q.mu.Lock()
		q.idle--
		q.mu.Unlock()
		q.serving.Lock()
		if !q.active.Load() || q.drain() {
			q.serving.Unlock()
		}
	}
}

func (q *Queue) leave() {
	q.mu.Lock()
	q.idle--
	q.workers--
	q.mu.Unlock()
}

// Acquire lets the caller, who is no handler, take chains until Release. It returns false if the queue is not served.
func (q *Queue) Acquire() bool {
	q.serving.Lock()
	if q.active.Load() {
		return true
	}
	q.serving.Unlock()
	return false
}

// Release ends what Acquire began.
func (q *Queue) Release() { q.serving.Unlock() }

// SetNotify asks the driver to notify of new chains, or not to; true means that there are chains already.
func (q *Queue) SetNotify(on bool) bool { return q.ring.SetNotify(on) }

// Stall tells that the handler has left chains in the queue for now: it is called again after the next Kick.
func (q *Queue) Stall() { q.stalled.Store(true) }

// Go runs f on a goroutine that stop waits for.
func (q *Queue) Go(f func()) { q.wg.Go(f) }

// Spread lets another goroutine take chains from the queue while the caller, a handler, is busy with one. It must call Rejoin after.
func (q *Queue) Spread() {
	if q.onLoop {
		return
	}
	q.mu.Lock()
	if q.idle == 0 && q.workers < maxWorkers && q.active.Load() {
		q.addWorker()
	}
	q.mu.Unlock()
	if q.ring.SetNotify(true) {
		q.wake()
	}
	q.serving.Unlock()
}

// Rejoin ends what Spread began. If it returns false, another goroutine serves the queue and the handler must return false at once.
func (q *Queue) Rejoin() bool {
	if q.onLoop {
		return true
	}
	if !q.serving.TryLock() {
		return false
	}
	q.ring.SetNotify(false)
	return true
}

// Each takes chains until there are none and has serve, which may wait for the host, deal with each. It returns what a Handler does.
func (q *Queue) Each(serve func(*Queue, *ring.Element)) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		q.Spread()
		serve(q, e)
		if !q.Rejoin() {
			return false
		}
	}
}

// Pop takes the next chain, nil if there is none. A driver's mistake breaks the device.
func (q *Queue) Pop() *ring.Element {
	if q.dev.Broken() {
		return nil
	}
	e, err := q.ring.Pop()
	if err != nil {
		q.dev.Fail(err)
	}
	return e
}

// NextIn is how many bytes the device may write to the next chain, zero if there is none. The chain stays in the queue.
func (q *Queue) NextIn() uint64 {
	e := q.Pop()
	if e == nil {
		return 0
	}
	n := e.InLen()
	q.Unpop(e)
	return n
}

// Unpop puts back the chain that was taken last.
func (q *Queue) Unpop(e *ring.Element) { q.ring.Unpop(e) }

// Push gives a chain back and interrupts the driver if it wants that.
func (q *Queue) Push(e *ring.Element, written uint32) {
	if q.ring.Push(e, written) {
		q.interrupt()
	}
}

// PushAll is Push for several chains.
func (q *Queue) PushAll(done []ring.Used) {
	if q.ring.PushAll(done) {
		q.interrupt()
	}
}

// Rewind takes the last n chains that are in use as not taken yet, and tells whether there were so many.
func (q *Queue) Rewind(n int) bool { return q.ring.Rewind(n) }

// Detach drops a chain without giving it back.
func (q *Queue) Detach(e *ring.Element) { q.ring.Detach(e) }

// Ready tells whether the driver has set the queue up.
func (q *Queue) Ready() bool { return q.ring.Ready() }

// Empty tells whether no chain is available.
func (q *Queue) Empty() bool { return q.ring.Empty() }

func (q *Queue) interrupt() {
	q.dev.RaiseISR(ISRQueue)
	if q.dev.transport != nil {
		q.dev.transport.QueueInterrupt(q)
	}
}
