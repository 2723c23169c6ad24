package migration

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"goemu/block"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// postcopy is the source's part of a migration whose dirty bitmaps follow when the destination runs already.
type postcopy struct {
	wanted atomic.Bool
	asked  chan struct{} // something is in it after wanted has changed
	waited bool          // a slot has gone by in which only the bitmaps were left
	begun  bool          // the destination may run
}

// StartPostcopy lets the dirty bitmaps of the migration under way follow when the destination runs.
func (e *Engine) StartPostcopy() error {
	if !e.Capability(CapDirtyBitmaps) {
		return errors.New("Enable postcopy with migrate_set_capability before the start of migration")
	}
	e.mu.Lock()
	o := e.out
	e.mu.Unlock()
	if o == nil {
		return errors.New("Postcopy must be started after migration has been started")
	}
	o.postcopy.wanted.Store(true)
	select {
	case o.postcopy.asked <- struct{}{}:
	default:
	}
	return nil
}

// bitmapsFit tells whether the bitmaps may be sent while the machine stands still. As in QEMU there is at first some time to ask for
// something else, and a bit is taken for a byte.
func (o *outgoing) bitmapsFit() bool {
	n := o.bitmapBits()
	perMS := float64(o.share) / float64(slot.Milliseconds())
	return n == 0 || o.postcopy.waited && float64(n) < perMS*float64(o.e.Parameters().DowntimeLimit)
}

// awaitPostcopy waits a while for StartPostcopy.
func (o *outgoing) awaitPostcopy() {
	select {
	case <-o.postcopy.asked:
	case <-o.ctx.Done():
	case <-time.After(slot):
		o.postcopy.waited = true
	}
}

// completePostcopy lets the destination run the machine, then sends the bitmaps.
func (o *outgoing) completePostcopy() {
	g := o.stopMachine()
	state, ok := o.maybePause(PostcopyActive)
	if !ok || state == Active && !o.move(Active, PostcopyActive) {
		return
	}
	err := o.handOver(g)
	if err == nil {
		err = o.sendBitmapsAfter()
	}
	o.conclude(PostcopyActive, err)
}

// handOver sends the rest of the RAM and, as a package, the devices. The destination runs at its end.
func (o *outgoing) handOver(g *globalState) error {
	state, _, err := o.sendRAM(g)
	if err == nil {
		err = o.sink.Flush()
	}
	if err == nil {
		err = o.inactivate()
	}
	if err != nil {
		return err
	}
	const command = 1 + 2 + 2 // bytes of one without data
	putCommand(o.sink, wire.CmdPackaged, binary.BigEndian.AppendUint32(nil, uint32(command+len(state)+command)))
	putCommand(o.sink, wire.CmdPostcopyListen, nil)
	o.sink.Bytes(state)
	o.postcopy.begun = true
	putCommand(o.sink, wire.CmdPostcopyRun, nil)
	err = o.sink.Flush()
	o.mu.Lock()
	o.downtime = time.Since(o.downAt)
	o.mu.Unlock()
	return err
}

// partChunks is how many chunks of a bitmap are in a part of the section at most.
const partChunks = 64

// sendBitmapsAfter sends the bitmaps and the end of the stream.
func (o *outgoing) sendBitmapsAfter() error {
	o.beginSlot()
	for i := range o.bitmaps {
		for s := &o.bitmaps[i]; s.left() > 0; {
			if err := o.broken(); err != nil {
				return err
			}
			if !o.waitForSlot() {
				return o.ctx.Err()
			}
			o.sink.U8(wire.SectionPart)
			o.sink.U32(bitmapSection)
			for n := 0; n < partChunks && s.left() > 0 && o.saver.Put(o.sink)-o.slotBytes < o.share; n++ {
				o.sendChunks(s, 1)
			}
			o.sink.U8(bitmapEOS)
			footer(o.sink, bitmapSection)
			if err := o.sink.Flush(); err != nil {
				return err
			}
		}
	}
	o.sendBitmaps()
	o.sink.U8(wire.EOF)
	return o.sink.Flush()
}

// phase is how far the destination of a postcopy migration is; the values are QEMU's.
type phase int

const (
	noPostcopy phase = 0
	advised    phase = 1
	listening  phase = 3
	running    phase = 4
)

func wrongPhase(name string, p phase) error {
	return wire.Invalid("CMD_%s in wrong postcopy state (%d)", name, p)
}

// advise notes that bitmaps may follow when the machine runs already.
func (l *loader) advise(n int) error {
	switch {
	case l.phase != noPostcopy:
		return wrongPhase("POSTCOPY_ADVISE", l.phase)
	case n == 16:
		return wire.Invalid("RAM postcopy is disabled but have 16 byte advise")
	case n != 0:
		return wire.Invalid("CMD_POSTCOPY_ADVISE invalid length (%d)", n)
	}
	l.phase = advised
	return nil
}

// unpack notes where the package ends whose length follows.
func (l *loader) unpack(r *vmstate.Reader) error {
	n := r.U32()
	if l.ch == nil || l.phase != advised || l.packageEnd != 0 {
		return wire.Invalid("The command PACKAGED is not expected here")
	}
	l.packageEnd = r.Consumed() + int64(n)
	return r.Err()
}

// listen begins the hand-over.
func (l *loader) listen() error {
	if l.phase != advised || l.packageEnd == 0 {
		return wrongPhase("POSTCOPY_LISTEN", l.phase)
	}
	l.phase = listening
	l.e.setIncoming(PostcopyActive)
	return nil
}

// run lets the machine run. What follows are the bitmaps.
func (l *loader) run(r *vmstate.Reader) error {
	if l.phase != listening || r.Consumed() != l.packageEnd {
		return wrongPhase("POSTCOPY_RUN", l.phase)
	}
	l.loadDone()
	l.phase = running
	l.bitmaps.beforeRun()
	l.e.goOn()
	return nil
}

// followed ends a migration after the machine has begun to run. Without what is missing then it goes on, too.
func (l *loader) followed(err error) {
	if err != nil {
		l.bitmaps.giveUp()
		if !l.e.isStopping() {
			for _, line := range loadLines(err) {
				l.e.report(line)
			}
			l.e.report("postcopy_ram_listen_thread: loadvm failed during postcopy: " + block.Strerror(loadErrno(err)) + ". All states are migrated except " +
				"dirty bitmaps. Some dirty bitmaps may be lost, and present migrated dirty bitmaps are correctly migrated and valid.")
		}
	}
	_ = l.answer(err)
	_ = l.ch.Close()
	l.e.setIncoming(Completed)
}
