package migration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/migration/channel"
	"goemu/migration/multifd"
	"goemu/migration/ram"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// incoming is the migration into this process; guarded by Engine.mu.
type incoming struct {
	started bool
	status  Status
	stop    func()   // ends the waiting for a connection
	addr    net.Addr // of the socket that waits or waited, nil without one
	single  bool     // there is only one channel
}

func (e *Engine) incomingStatus() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.in.status
}

func (e *Engine) setIncoming(s Status) {
	e.mu.Lock()
	e.in.status = s
	e.mu.Unlock()
	e.notify(s)
}

// Incoming begins to wait for a machine (migrate-incoming).
func (e *Engine) Incoming(uri string, files channel.Files) error {
	e.mu.Lock()
	started := e.in.started
	e.mu.Unlock()
	if started {
		return errors.New("The incoming migration has already been started")
	}
	if e.stateOf() != mainloop.StateInMigrate {
		return errors.New("'-incoming' was not specified on the command line")
	}
	if e.Hooks.Status != nil {
		e.Hooks.Status(Setup) // whether or not events are asked for
	}
	w, err := channel.Incoming(uri, files, e.admit)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.in.started, e.in.stop, e.in.status, e.in.addr = true, w.Close, Setup, w.Addr
	e.in.single = w.More == nil
	e.mu.Unlock()
	go e.receive(w)
	return nil
}

// admit makes the channel of a source secure, or says why it is none to load from.
func (e *Engine) admit(ch channel.Channel) (channel.Channel, error) {
	safe, err := e.secureIn(ch)
	if err != nil {
		e.report(err.Error())
		ch.Shutdown()
		_ = ch.Close()
	}
	return safe, err
}

// receive is the whole migration into this process, on a goroutine of its own.
func (e *Engine) receive(w *channel.Waiting) {
	l, err := e.open(w)
	if err != nil {
		if !errors.Is(err, channel.ErrRefused) && !e.isStopping() {
			e.report(err.Error())
			e.giveUp()
		}
		return
	}
	e.setIncoming(Active)
	err = l.load(l.ch)
	if e := l.stopBeside(); e != nil && err != nil {
		err = e
	}
	if l.phase == running {
		l.followed(err)
		l.closeBeside(patience)
		return
	}
	if e := l.answer(err); err == nil {
		err = e
	}
	_ = l.ch.Close()
	if err == nil {
		e.arrived()
		l.closeBeside(patience)
		return
	}
	l.closeBeside(0)
	e.incomingFailed.Store(true)
	if e.Hooks.Settle != nil {
		e.Hooks.Settle()
	}
	if !e.isStopping() {
		e.reportLoad(err)
	}
	e.giveUp()
}

// open waits for all channels of a source.
func (e *Engine) open(w *channel.Waiting) (*loader, error) {
	ch, err := w.Open(context.Background())
	if err != nil {
		return nil, err
	}
	l := &loader{e: e, ch: ch}
	l.stoppable(w)
	if e.Capability(CapMultifd) {
		err = l.openBeside(w)
	}
	w.Done()
	if err != nil {
		l.closeBeside(0)
		ch.Shutdown()
		_ = ch.Close()
		return nil, err
	}
	return l, nil
}

// stoppable makes Close end whatever waits for a channel that is there now.
func (l *loader) stoppable(w *channel.Waiting) {
	list := append([]channel.Channel{l.ch}, l.beside...)
	stop := func() {
		w.Done()
		for _, ch := range list {
			ch.Shutdown()
		}
	}
	l.e.mu.Lock()
	l.e.in.stop = stop
	stopping := l.e.stopping
	l.e.mu.Unlock()
	if stopping {
		stop()
	}
}

// giveUp ends the process that an incoming migration failed in.
func (e *Engine) giveUp() {
	stopping := e.isStopping()
	e.setIncoming(Failed)
	if !stopping && e.Hooks.Exit != nil {
		e.Hooks.Exit(1)
	}
}

// isStopping tells whether the process ends anyway.
func (e *Engine) isStopping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping
}

// reportLoad prints the lines that QEMU prints about a stream that it cannot load.
func (e *Engine) reportLoad(err error) {
	for _, line := range loadLines(err) {
		if line != vmstate.ErrShort.Error() { // the last line says so
			e.report(line)
		}
	}
	e.report("load of migration failed: " + block.Strerror(loadErrno(err)))
}

// loadLines are the lines of an error.
func loadLines(err error) []string { return strings.Split(err.Error(), "\n") }

// arrived ends a migration once everything is here.
func (e *Engine) arrived() {
	e.goOn()
	e.setIncoming(Completed)
}

// goOn makes the machine run, or do what the source's did.
func (e *Engine) goOn() {
	vm := e.M.VM
	running := e.global == "" || e.global == string(mainloop.StateRunning)
	run := false
	withMachine(func() { run = running && vm.Autostart })
	if run || !e.Capability(CapLateBlockActivate) {
		if err := e.withGraph(e.M.Graph.Resume); err != nil {
			e.report(err.Error())
			withMachine(func() { vm.Autostart = false })
			run = false
		}
	}
	e.withoutInMigrate()
	if e.Hooks.Announce != nil {
		p := e.Parameters()
		withMachine(func() { e.Hooks.Announce(p) })
	}
	if run {
		e.deny()
	}
	withMachine(func() {
		switch {
		case vm.State() != mainloop.StateInMigrate:
		case !running:
			vm.SetState(mainloop.RunState(e.global))
		case vm.Autostart:
			vm.Start()
		default:
			vm.SetState(mainloop.StatePaused)
		}
	})
}

// deny lets the disks of a machine that is about to run deny others what they must; what keeps them from it is only told.
func (e *Engine) deny() {
	_ = e.withGraph(func(context.Context) error {
		for _, err := range e.M.Graph.Deny() {
			e.report(err.Error())
		}
		return nil
	})
}

// withoutInMigrate ends what is special about the disks of a machine that is still coming in.
func (e *Engine) withoutInMigrate() {
	_ = e.withGraph(func(context.Context) error { e.M.Graph.SetInMigrate(false); return nil })
}

// loader reads one stream.
type loader struct {
	e        *Engine
	ch       channel.Channel // nil for a snapshot
	src      io.Reader
	beside   []channel.Channel // the others
	pages    *multifd.Receiver // what comes over them, nil without them
	locked   bool              // the machine lock is held; not while src is waited for
	answers  bool              // the source opened the return path
	ram      ram.Loader
	ramIDs   map[uint32]bool
	bitmaps  bitmapLoader
	bitmapID uint32 // number of the section "dirty-bitmap"
	sections []qdev.Section
	global   globalState
	loaded   map[string]bool

	phase      phase
	packageEnd int64 // place in the stream where the devices end; 0: they are no package
}

// Read implements io.Reader. A device's state may be on its way for long: nothing else waits for it.
func (l *loader) Read(p []byte) (int, error) {
	if l.locked {
		mainloop.Lock.Unlock()
		defer mainloop.Lock.Lock()
	}
	return l.src.Read(p)
}

// load reads a stream to its end.
func (l *loader) load(src io.Reader) error {
	e := l.e
	l.src = src
	r := vmstate.NewStream(l)
	c, err := wire.ReadHeader(r)
	if err == nil {
		err = e.checkHeader(c)
	}
	if err != nil {
		return err
	}
	l.ram.Blocks, l.ram.Dropped = e.M.RAM(), e.M.Dropped
	defer l.ram.Close()
	l.ramIDs = map[uint32]bool{}
	l.bitmaps.e = e
	l.loaded = map[string]bool{}
	withMachine(func() { l.sections = e.sections(&l.global, true) })
	for {
		if l.packageEnd != 0 && l.phase != running && r.Consumed() >= l.packageEnd {
			return wire.Invalid("The package ends before CMD_POSTCOPY_RUN")
		}
		kind := r.U8()
		if r.Err() != nil {
			return r.Err()
		}
		if l.phase == running && kind != wire.SectionPart && kind != wire.SectionEnd && kind != wire.EOF {
			return wire.Invalid("Section type %d is not expected while the machine runs", kind)
		}
		switch kind {
		case wire.SectionStart, wire.SectionFull:
			err = l.section(r)
		case wire.SectionPart, wire.SectionEnd:
			err = l.part(r)
		case wire.Command:
			err = l.command(r)
		case wire.EOF:
			return l.end(r)
		default:
			err = wire.Invalid("Unknown savevm section type %d", kind)
		}
		if err != nil {
			return err
		}
	}
}

// checkHeader compares the source's machine with this one.
func (e *Engine) checkHeader(c *wire.Config) error {
	if c.Machine != e.M.Name {
		return wire.Invalid("Machine type received is '%s' and local is '%s'", printable([]byte(c.Machine)), e.M.Name)
	}
	if len(c.Capabilities) > 0 {
		name := c.Capabilities[0]
		if name != "x-ignore-shared" {
			return wire.Invalid("Received unknown capability %s", printable([]byte(name)))
		}
		return wire.Invalid("Capability %s is off, but received capability is on", name)
	}
	switch {
	case c.UUID == nil:
	case e.M.UUID == nil:
		e.report(fmt.Sprintf("warning: UUID is received %s, but local uuid isn't set", wire.FormatUUID(c.UUID)))
	case string(c.UUID) != string(e.M.UUID):
		return wire.Invalid("UUID received is %s and local is %s", wire.FormatUUID(c.UUID), wire.FormatUUID(e.M.UUID))
	}
	return nil
}

// section reads a section with its head.
func (l *loader) section(r *vmstate.Reader) error {
	id := r.U32()
	name := string(r.Raw(int(r.U8())))
	instance, version := int(r.U32()), r.U32()
	if r.Err() != nil {
		return r.Err()
	}
	if name == ram.Name && instance == 0 {
		l.ramIDs[id] = true
		if version > ram.Version {
			return wire.Invalid("savevm: unsupported version %d for '%s' v%d", version, name, ram.Version)
		}
		if err := l.ram.Load(r, int(version)); err != nil {
			return loadError(name, instance, err)
		}
		return l.footer(r, name, id)
	}
	if name == bitmapSectionName && instance == 0 {
		if version > bitmapVersion {
			return wire.Invalid("savevm: unsupported version %d for '%s' v%d", version, name, bitmapVersion)
		}
		l.bitmapID = id
		if err := l.bitmaps.load(r); err != nil {
			return loadError(name, instance, err)
		}
		return l.footer(r, name, id)
	}
	s := l.find(name, instance)
	if s == nil {
		return wire.Invalid("Unknown savevm section or instance '%s' %d. Make sure that your current VM setup matches your saved VM setup, including any hotplugged devices",
			printable([]byte(name)), instance)
	}
	if v := s.State.Layout().Version; version > uint32(v) {
		return wire.Invalid("savevm: unsupported version %d for '%s' v%d", version, name, v)
	}
	var err error
	withMachine(func() {
		l.locked = true
		err = s.State.Load(r, int(version))
		l.locked = false
	})
	if err != nil {
		if !errors.Is(err, vmstate.ErrShort) && r.Err() == nil {
			err = wire.Invalid("%s", err)
		}
		return loadError(name, instance, err)
	}
	l.loaded[name+"\x00"+fmt.Sprint(instance)] = true
	return l.footer(r, name, id)
}

func (l *loader) find(name string, instance int) *qdev.Section {
	for i := range l.sections {
		if s := &l.sections[i]; s.Name == name && s.Instance == instance {
			return s
		}
	}
	return nil
}

// part reads more of a section that comes in parts.
func (l *loader) part(r *vmstate.Reader) error {
	id := r.U32()
	if r.Err() != nil {
		return r.Err()
	}
	if id != 0 && id == l.bitmapID {
		if err := l.bitmaps.load(r); err != nil {
			return fmt.Errorf("%w\nerror while loading state section id %d(%s)", err, id, bitmapSectionName)
		}
		return l.footer(r, bitmapSectionName, id)
	}
	if !l.ramIDs[id] {
		return wire.Invalid("Unknown savevm section %d", id)
	}
	if l.phase == running { // QEMU ends the section once more
		if !ram.Ends(r) {
			return wire.Invalid("Pages are not expected while the machine runs")
		}
	} else if err := l.ram.Load(r, ram.Version); err != nil {
		return fmt.Errorf("%w\nerror while loading state section id %d(%s)", err, id, ram.Name)
	}
	return l.footer(r, ram.Name, id)
}

func (l *loader) footer(r *vmstate.Reader, name string, id uint32) error {
	switch mark := r.U8(); {
	case r.Err() != nil:
		return r.Err()
	case mark != wire.Footer:
		return wire.Invalid("Missing section footer for %s", name)
	}
	if got := r.U32(); r.Err() == nil && got != id {
		return wire.Invalid("Mismatched section id in footer for %s - read 0x%x expected 0x%x", name, got, id)
	}
	return r.Err()
}

// command acts on a command in the stream.
func (l *loader) command(r *vmstate.Reader) error {
	cmd, n, name, err := wire.ReadCommand(r)
	if err != nil {
		return err
	}
	switch cmd {
	case wire.CmdOpenReturnPath:
		if l.ch == nil || !l.ch.TwoWay() {
			return wire.Invalid("CMD_OPEN_RETURN_PATH failed")
		}
		l.answers = true
	case wire.CmdPing:
		value := r.Raw(n)
		if r.Err() != nil {
			return r.Err()
		}
		if !l.answers {
			return wire.Invalid("CMD_PING (0x%x) received with no return path", binary.BigEndian.Uint32(value))
		}
		_, err = l.ch.Write(wire.Message(wire.RPPong, value))
		return err
	case wire.CmdPostcopyAdvise:
		return l.advise(n)
	case wire.CmdPackaged:
		return l.unpack(r)
	case wire.CmdPostcopyListen:
		return l.listen()
	case wire.CmdPostcopyRun:
		return l.run(r)
	default:
		return wire.Invalid("The command %s is not supported", name)
	}
	return r.Err()
}

// maxDescription is the longest description behind the end of a stream.
const maxDescription = 64 << 20

// end acts on the end of the stream: the CPUs get their state, and what stands behind the end is read so that the source can send it.
func (l *loader) end(r *vmstate.Reader) error {
	if l.phase == running {
		l.bitmaps.giveUp() // those that are not whole
		return nil
	}
	l.loadDone()
	l.bitmaps.finish()
	if kind := r.U8(); r.Err() == nil && kind == wire.VMDescription {
		var part [4096]byte
		for n := min(r.U32(), maxDescription); n > 0 && r.Err() == nil; {
			k := min(n, uint32(len(part)))
			_ = r.Full(part[:k])
			n -= k
		}
	}
	return nil
}

// loadDone gives the CPUs their state.
func (l *loader) loadDone() {
	withMachine(l.e.M.LoadDone)
	l.e.global = ""
	if l.loaded["globalstate\x000"] {
		l.e.global = l.global.state()
	}
}

// answer tells the source how it ended, if it listens. A source that cannot be told goes on by itself.
func (l *loader) answer(err error) error {
	if !l.answers {
		return nil
	}
	b := wire.Message(wire.RPShut, make([]byte, 4))
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		b = wire.Message(wire.RPShut, []byte{0, 0, 0, 1})
		b = append(b, wire.Message(wire.RPReason, []byte(text[:min(len(text), maxReason)]))...)
	}
	_, err = l.ch.Write(b)
	return err
}
