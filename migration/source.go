package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/channel"
	"goemu/migration/multifd"
	"goemu/migration/ram"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// slot is how long a share of the bandwidth lasts: after it the figures are computed anew.
const slot = 100 * time.Millisecond

// unlimited is a share that is never used up.
const unlimited = 1 << 62

// batch is how many bytes are sent between two looks at everything else.
const batch = 2 << 20

// batchBeside is how many bytes are sent, by several channels, between two places where they wait for each other.
const batchBeside = 32 << 20

// outgoing is a migration to somewhere else.
type outgoing struct {
	e      *Engine
	cancel context.CancelFunc
	ctx    context.Context
	done   chan struct{}
	resume chan struct{} // migrate-continue

	mu     sync.Mutex
	status Status
	err    error           // why it failed
	ch     channel.Channel // of the stream
	// channels are all that are open, beginning with ch.
	channels []channel.Channel
	started  time.Time

	ram        atomic.Pointer[ram.Saver]
	saver      *ram.Saver // the same, for the migration's goroutine
	freePages  FreePages  // nil: nobody tells of them
	sink       *wire.Sink
	beside     *multifd.Sender // nil without multifd
	rp         *returnPath
	throttle   throttle
	bitmaps    []sentBitmap
	headed     *sentBitmap // the last one whose names were sent
	postcopy   postcopy
	held       bool // requests to the machine wait, see mainloop.VM.Hold
	wasRunning bool
	inactive   bool // the disks were handed over

	// Figures.
	setup, total, downtime time.Duration
	downAt                 time.Time
	mbps                   atomic.Uint64 // thousandths
	pagesPerSecond         atomic.Uint64
	expectedDowntime       atomic.Uint64 // milliseconds

	slotBegan time.Time
	slotBytes int64 // Total at its beginning
	slotPages uint64
	share     int64   // bytes that may be sent in a slot
	perMS     float64 // bytes that the channel takes in a millisecond
	polishing float64 // what was left at the beginning of a round that only makes the downtime shorter, 0 outside of one
}

func (o *outgoing) get() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status
}

// move changes the state from one to another; false if it is another one by now: the migration was cancelled.
func (o *outgoing) move(from, to Status) bool {
	o.mu.Lock()
	ok := o.status == from
	if ok {
		o.status = to
	}
	o.mu.Unlock()
	if ok {
		o.e.notify(to)
	}
	return ok
}

// fail notes the first error.
func (o *outgoing) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
}

func (o *outgoing) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Migrate begins to send the machine to a URI. It returns when the migration is under way.
func (e *Engine) Migrate(uri string, files channel.Files) error {
	o, err := e.prepare()
	if err != nil {
		return err
	}
	open, err := channel.Outgoing(uri, files)
	if err != nil {
		o.fail(err)
		o.move(Setup, Failed)
		close(o.done)
		return err
	}
	go o.run(open, uri)
	return nil
}

// prepare makes the state of a new migration.
func (e *Engine) prepare() (*outgoing, error) {
	if err := e.Blocked(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	switch s := e.stateOf(); {
	case e.out != nil && e.out.get().underWay(), e.stopping:
		e.mu.Unlock()
		return nil, errActive
	case s == mainloop.StateInMigrate:
		e.mu.Unlock()
		return nil, errors.New("Guest is waiting for an incoming migration")
	case s == mainloop.StatePostMigrate:
		e.mu.Unlock()
		return nil, errors.New("Can't migrate the vm that was paused due to previous migration")
	}
	o := newOutgoing(e)
	o.expectedDowntime.Store(e.params.DowntimeLimit)
	e.out = o
	e.mu.Unlock()
	e.notify(Setup)
	return o, nil
}

func newOutgoing(e *Engine) *outgoing {
	o := &outgoing{e: e, done: make(chan struct{}), resume: make(chan struct{}, 1), status: Setup, started: time.Now(),
		postcopy: postcopy{asked: make(chan struct{}, 1)}}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o
}

// run is the whole migration, on a goroutine of its own.
func (o *outgoing) run(open channel.Opener, uri string) {
	defer close(o.done)
	if err := o.connect(open, uri); err != nil {
		o.shutdown()
		o.fail(err)
		o.e.report(err.Error())
		if !o.move(Setup, Failed) {
			o.move(Cancelling, Cancelled)
		}
		return
	}
	o.e.withdraw()
	o.send()
	o.finish()
}

// connect opens the channels.
func (o *outgoing) connect(open channel.Opener, uri string) error {
	ch, err := o.open(open, channel.Host(uri))
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.ch = ch
	o.mu.Unlock()
	if !o.e.Capability(CapMultifd) {
		return nil
	}
	return o.connectMore(open, uri)
}

// open opens a channel, which Cancel shuts down from now on.
func (o *outgoing) open(open channel.Opener, host string) (channel.Channel, error) {
	ch, err := open(o.ctx)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	n := len(o.channels)
	o.channels = append(o.channels, ch)
	o.mu.Unlock()
	if o.ctx.Err() != nil {
		ch.Shutdown()
	}
	safe, err := o.e.secureOut(ch, host)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	o.channels[n] = safe
	o.mu.Unlock()
	return safe, nil
}

// shutdown makes whatever waits for a channel fail, and closes them.
func (o *outgoing) shutdown() {
	o.mu.Lock()
	list := o.channels
	o.channels = nil
	o.mu.Unlock()
	for _, ch := range list {
		ch.Shutdown()
		_ = ch.Close()
	}
}

// send is everything that goes over the channel; it ends in one of the last states, or in Cancelling.
func (o *outgoing) send() {
	e := o.e
	o.sink = wire.NewSink(o.ch)
	o.saver = ram.NewSaver(e.M.RAM(), e.M.Log)
	if o.beside != nil {
		o.saver.Beside = o.beside
	}
	defer o.saver.Close()
	o.saver.OnSync = func() {
		if e.Capability(CapEvents) && e.Hooks.Pass != nil {
			e.Hooks.Pass(int64(o.saver.DirtySync.Load()))
		}
	}
	defer o.hearOfFreePages()()
	o.sizeCache()
	o.ram.Store(o.saver)
	o.throttle.cpus = e.M.CPUs
	defer o.throttle.stop()
	e.M.Log()
	if err := o.begin(); err != nil {
		o.failed(Setup, err)
		return
	}
	o.waitUnplug()
	o.mu.Lock()
	o.setup = time.Since(o.started)
	o.mu.Unlock()
	if !o.move(Setup, Active) && !o.move(WaitUnplug, Active) {
		return
	}
	o.beginSlot()
	for o.get() == Active {
		if err := o.broken(); err != nil {
			o.failed(Active, err)
			return
		}
		if !o.waitForSlot() {
			return
		}
		if !o.lowPending() {
			o.iterate()
			continue
		}
		switch {
		case o.bitmapBits() > 0 && o.postcopy.wanted.Load():
			o.completePostcopy()
			return
		case o.bitmapsFit():
			o.complete()
			return
		}
		o.iterate()
		o.awaitPostcopy()
	}
}

// hearOfFreePages lets the guest tell of pages that need not be sent, as long as it runs. The caller calls the result at the end.
func (o *outgoing) hearOfFreePages() (end func()) {
	var f FreePages
	if o.e.Hooks.FreePages != nil {
		withMachine(func() { f = o.e.Hooks.FreePages() })
	}
	if f == nil {
		return func() {}
	}
	s, after := o.saver, o.saver.OnSync
	s.FreedLater, s.BeforeSync = true, f.StopHints
	s.OnSync = func() {
		after()
		if o.e.M.VM.Running() {
			f.StartHints(s.Free)
		} else {
			withMachine(f.FinishHints)
		}
	}
	o.freePages = f
	return func() { withMachine(f.FinishHints) }
}

// failed ends the migration with an error.
func (o *outgoing) failed(from Status, err error) {
	o.fail(err)
	o.move(from, Failed)
}

// begin writes everything up to the first round.
func (o *outgoing) begin() error {
	e := o.e
	var w vmstate.Writer
	wire.Header(&w, e.header())
	o.sink.Bytes(w.Bytes())
	if e.Capability(CapReturnPath) {
		o.rp = newReturnPath(o.ch)
		putCommand(o.sink, wire.CmdOpenReturnPath, nil)
		putCommand(o.sink, wire.CmdPing, []byte{0, 0, 0, 1})
	}
	if e.Capability(CapDirtyBitmaps) {
		putCommand(o.sink, wire.CmdPostcopyAdvise, nil)
	}
	if err := o.takeBitmaps(); err != nil {
		return err
	}
	o.announceBitmaps()
	beginPart(o.sink, wire.SectionStart)
	o.saver.Setup(o.sink)
	footer(o.sink, ramSection)
	return o.sink.Flush()
}

// header is what the stream says of the machine.
func (e *Engine) header() *wire.Config {
	c := &wire.Config{Machine: e.M.Name}
	if e.Capability(CapValidateUUID) {
		c.UUID = e.M.UUID
	}
	return c
}

// broken tells what is wrong with the channel, if anything.
func (o *outgoing) broken() error {
	if err := o.sink.Err(); err != nil {
		return o.withReason(err)
	}
	return o.rp.failure()
}

// withReason prefers what the destination says to what the channel says.
func (o *outgoing) withReason(err error) error {
	if o.rp != nil {
		if r := o.rp.last(); r != nil {
			return r
		}
	}
	return err
}

// iterate sends a batch of RAM.
func (o *outgoing) iterate() {
	beginPart(o.sink, wire.SectionPart)
	size := int64(batch)
	if o.beside != nil {
		size = batchBeside
	}
	o.saver.Send(o.sink, min(size, o.share-(o.saver.Put(o.sink)-o.slotBytes)))
	o.saver.End(o.sink)
	footer(o.sink, ramSection)
	_ = o.sink.Flush()
}

// lowPending tells whether the first round is over and what is left can be sent within the downtime. As long as each round is much shorter
// than the one before, and they are short, one more makes the downtime still shorter.
func (o *outgoing) lowPending() bool {
	threshold := o.perMS * float64(o.e.Parameters().DowntimeLimit)
	pending := float64(o.saver.Pending())
	if pending > 0 && (pending >= threshold || o.polishing > 0 || !o.saver.Swept()) {
		return false
	}
	o.sync()
	left := float64(o.saver.Pending())
	if left > 0 && left >= threshold {
		o.polishing = 0
		return false
	}
	const worth, shrinks = 1, 2 // per cent of the downtime; times
	long := min(time.Since(o.started)/polishShare, polishTime)
	if left > o.perMS*float64(long.Milliseconds()) || left <= threshold*worth/100 || o.polishing > 0 && left*shrinks > o.polishing {
		return true
	}
	o.polishing = left
	return false
}

// Limits of a round that only makes the downtime shorter: its share of what the migration has taken so far, and how long it may be.
const (
	polishShare = 8
	polishTime  = 500 * time.Millisecond
)

// sizeCache says how much is kept of what was sent.
func (o *outgoing) sizeCache() {
	if o.e.Capability(CapXBZRLE) {
		o.saver.SetXBZRLE(o.e.Parameters().XbzrleCacheSize)
	}
}

// sync reads the dirty log and slows the guest down if it writes too fast.
func (o *outgoing) sync() {
	o.sizeCache()
	o.saver.Sync()
	dirtied, sent, ok := o.saver.Period()
	if ok && o.e.Capability(CapAutoConverge) {
		o.throttle.observe(dirtied, sent, o.e.Parameters())
	}
}

func (o *outgoing) beginSlot() {
	o.slotBegan, o.slotBytes = time.Now(), o.saver.Put(o.sink)
	o.slotPages = o.saver.Normal.Load() + o.saver.Duplicate.Load()
}

// waitForSlot waits until the bandwidth lets more be sent; false if the migration was cancelled meanwhile.
func (o *outgoing) waitForSlot() bool {
	p := o.e.Parameters()
	most := p.MaxBandwidth
	if o.postcopy.begun {
		most = p.MaxPostcopyBandwidth
	}
	o.share = int64(min(most/uint64(time.Second/slot), unlimited))
	if o.share == 0 {
		o.share = unlimited
	}
	for {
		d := time.Since(o.slotBegan)
		if d >= slot {
			o.figures(d)
			o.beginSlot()
			return true
		}
		if o.saver.Put(o.sink)-o.slotBytes < o.share {
			return true
		}
		select {
		case <-o.ctx.Done():
			return false
		case <-time.After(slot - d):
		}
	}
}

// figures computes what the last slot tells.
func (o *outgoing) figures(d time.Duration) {
	sent := float64(o.saver.Put(o.sink) - o.slotBytes)
	pages := o.saver.Normal.Load() + o.saver.Duplicate.Load() - o.slotPages
	ms := float64(d) / float64(time.Millisecond)
	perMS := sent / ms
	if full := pages > 0 && sent >= float64(pages)*memory.PageSize/2; full || perMS > o.perMS { // the scan of empty pages tells little of the channel
		o.perMS = perMS
	}
	o.mbps.Store(uint64(sent * 8 / ms))
	o.pagesPerSecond.Store(uint64(float64(pages) / d.Seconds()))
	if o.saver.DirtyRate.Load() != 0 && sent > 10000 {
		o.expectedDowntime.Store(uint64(float64(o.saver.Pending()) / perMS))
	}
}

// stopMachine ends what the guest does here, and returns what it was doing.
func (o *outgoing) stopMachine() *globalState {
	e := o.e
	g := new(globalState)
	o.throttle.stop()
	withMachine(func() {
		o.downAt = time.Now()
		vm := e.M.VM
		before := vm.State()
		vm.Stop(mainloop.StateFinishMigrate)
		if o.wasRunning = before == mainloop.StateRunning && vm.State() == mainloop.StateFinishMigrate; !o.wasRunning {
			before = vm.State()
			vm.SetState(mainloop.StateFinishMigrate)
		}
		g.set(before)
	})
	e.settle()
	return g
}

// complete stops the machine and sends the rest.
func (o *outgoing) complete() {
	g := o.stopMachine()
	state, ok := o.maybePause(Device)
	if !ok {
		return
	}
	o.conclude(state, o.sendRest(g))
}

// conclude ends a migration in this state, of which everything was sent if err is nil.
func (o *outgoing) conclude(state Status, err error) {
	if err == nil {
		err = o.rp.wait(o.ctx)
	}
	if err != nil {
		if o.sink.Err() != nil {
			err = o.withReason(err)
		}
		o.takeBack()
		o.failed(state, err)
		return
	}
	o.mu.Lock()
	if !o.postcopy.begun { // else it has ended before
		o.downtime = time.Since(o.downAt)
	}
	o.total = time.Since(o.started)
	o.mu.Unlock()
	o.move(state, Completed)
}

// maybePause lets the user do something between the end of the guest and the hand-over; it returns the state after that, which is next if there
// was a pause, and false if the migration was cancelled.
func (o *outgoing) maybePause(next Status) (Status, bool) {
	if !o.e.Capability(CapPauseBeforeSwitchover) {
		return Active, o.get() == Active
	}
	select {
	case <-o.resume: // left over
	default:
	}
	if !o.move(Active, PreSwitchover) {
		return PreSwitchover, false
	}
	select {
	case <-o.resume:
	case <-o.ctx.Done():
		return PreSwitchover, false
	}
	return next, o.move(PreSwitchover, next)
}

// sendRAM sends what is left of the RAM, and returns the devices' state and its description, see saveSections.
func (o *outgoing) sendRAM(g *globalState) (state []byte, desc <-chan []byte, err error) {
	e := o.e
	withMachine(func() {
		if e.M.VM.State() == mainloop.StateFinishMigrate {
			e.M.VM.Hold()
			o.held = true
			if o.freePages != nil {
				o.freePages.FinishHints()
			}
			state, desc = e.saveSections(g)
		}
	})
	if state == nil {
		return nil, nil, errors.New("the machine does not wait for the end of the migration any more")
	}
	o.saver.Stop()
	o.saver.Sync()
	beginPart(o.sink, wire.SectionEnd)
	o.saver.Send(o.sink, unlimited)
	o.saver.End(o.sink)
	footer(o.sink, ramSection)
	return state, desc, nil
}

// inactivate hands the disks over.
func (o *outgoing) inactivate() error {
	o.inactive = true
	if err := o.e.withGraph(o.e.M.Graph.InactivateAll); err != nil {
		o.inactive = false
		return errors.New("qemu_savevm_state_complete_precopy_non_iterable: bdrv_inactivate_all() failed (-1)")
	}
	return nil
}

// sendRest sends what is left of the RAM, the bitmaps and the devices, and hands the disks over before the stream ends.
func (o *outgoing) sendRest(g *globalState) error {
	state, desc, err := o.sendRAM(g)
	if err != nil {
		return err
	}
	o.sendBitmaps()
	o.sink.Bytes(state)
	if err := o.sink.Flush(); err != nil {
		return err
	}
	if err := o.inactivate(); err != nil {
		return err
	}
	o.sink.U8(wire.EOF)
	putDescription(o.sink, desc)
	return o.sink.Flush()
}

// takeBack makes the disks this process's own again, if the destination cannot have begun to use them.
func (o *outgoing) takeBack() {
	if !o.inactive || o.postcopy.begun {
		return
	}
	if err := o.e.withGraph(o.e.M.Graph.Resume); err != nil {
		o.e.report(err.Error())
		return
	}
	o.inactive = false
}

// finish ends the migration: the machine runs on unless it is the destination that does.
func (o *outgoing) finish() {
	e := o.e
	o.throttle.stop()
	if o.get() == Cancelling {
		o.takeBack()
	}
	o.giveBitmaps()
	withMachine(func() {
		vm := e.M.VM
		if o.held {
			defer vm.Release()
		}
		if o.get() == Completed {
			if d := o.total - o.setup; d > 0 {
				o.mbps.Store(uint64(float64(o.saver.Put(o.sink)) * 8 / (float64(d) / float64(time.Millisecond))))
			}
			if vm.State() == mainloop.StateFinishMigrate {
				vm.SetState(mainloop.StatePostMigrate)
			}
			return
		}
		if vm.State() != mainloop.StateFinishMigrate {
			return
		}
		switch {
		case o.inactive: // somebody else has the disks
			vm.SetState(mainloop.StatePostMigrate)
		case o.wasRunning:
			vm.Start()
		default:
			vm.SetState(mainloop.StatePostMigrate)
		}
	})
	o.closeBeside()
	o.ch.Shutdown()
	if err := o.ch.Close(); err != nil && o.get() == Completed {
		e.report(err.Error())
	}
	if o.get() != Completed && !o.postcopy.begun {
		e.restore()
	}
	o.move(Cancelling, Cancelled)
	if err := o.failure(); err != nil && o.get() == Failed {
		e.report(err.Error())
	}
}

// Cancel ends the migration under way, if there is one.
func (e *Engine) Cancel() {
	e.mu.Lock()
	o := e.out
	e.mu.Unlock()
	if o == nil {
		return
	}
	o.mu.Lock()
	ok := o.status.underWay() && o.status != Cancelling
	if ok {
		o.status = Cancelling
	}
	list := slices.Clone(o.channels)
	o.mu.Unlock()
	if !ok {
		return
	}
	e.notify(Cancelling)
	o.cancel()
	for _, ch := range list {
		ch.Shutdown()
	}
}

// Continue lets a migration go on that waits before the switchover.
func (e *Engine) Continue(s Status) error {
	e.mu.Lock()
	o := e.out
	e.mu.Unlock()
	now := None
	if o != nil {
		now = o.get()
	}
	if now != s {
		return fmt.Errorf("Migration not in expected state: %s", now)
	}
	if o != nil {
		select {
		case o.resume <- struct{}{}:
		default:
		}
	}
	return nil
}
