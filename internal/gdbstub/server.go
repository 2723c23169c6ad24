package gdbstub

import (
	"sync"

	"goemu/accel"
	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/target/x86"
)

// CPU is a virtual CPU as a debugger needs it. State and SetState are used while the machine is stopped.
type CPU interface {
	accel.CPU
	State() *x86.State
	SetState(*x86.State)
}

// Target is the machine to be debugged.
type Target struct {
	VM   *mainloop.VM
	CPUs []CPU
	// Space is what a CPU in a state sees of memory.
	Space func(s *x86.State) *memory.AddressSpace
	// TPR is the task priority of a CPU's interrupt controller (CR8).
	TPR func(cpu int) uint64
	AVX bool
	// Debugger stops CPUs at breakpoints; nil if the accelerator cannot.
	Debugger accel.Debugger
	// Continue lets the machine run; called under the machine lock.
	Continue func() error
	// Monitor executes a command of the people's monitor; called without locks.
	Monitor func(line string) string
	// Kill ends the emulator.
	Kill func()
}

// inputLimit is how much input waits before gdb must.
const inputLimit = 64 << 10

// Server serves one gdb.
type Server struct {
	t        Target
	port     *chardev.Port
	features []feature
	regs     []reg
	xml      string

	mu     sync.Mutex
	wake   sync.Cond
	in     []byte
	reply  string // stop reply to be sent
	fresh  bool   // another gdb has come: nothing of the one before counts
	closed bool

	// Under the machine lock:
	connected bool
	waiting   bool // gdb waits for the machine to stop
	stop      *accel.DebugStop
	multi     bool // gdb knows processes
	physical  bool // addresses are physical
	stepFlags uint64
	curG      int // CPU of register and memory packets
	curC      int // of c and s
	list      int // next CPU of qsThreadInfo
	breaks    map[uint64]int
	watches   []accel.Watchpoint

	// Of run:
	noAck bool
	last  []byte // packet sent, for a repetition
	dec   decoder
}

// Serve attaches a server to a character device. Preconditions: the machine lock is held.
func Serve(b *chardev.Backend, t Target) (*Server, error) {
	s := &Server{t: t, features: features(t.AVX), breaks: map[uint64]int{}, stepFlags: stepDefault}
	s.regs, s.xml = numbered(s.features), targetXML(s.features)
	s.wake.L = &s.mu
	if t.Debugger != nil {
		t.Debugger.OnStop(s.cpuStopped)
	}
	t.VM.OnChange(s.changed)
	var err error
	if s.port, err = b.Attach(s); err != nil {
		return nil, err
	}
	s.port.Converse()
	go s.run()
	return s, nil
}

// Close ends the server. Preconditions: the machine lock is held.
func (s *Server) Close() {
	s.port.Detach()
	s.mu.Lock()
	s.closed = true
	s.wake.Broadcast()
	s.mu.Unlock()
}

// CanRead implements chardev.Frontend.
func (s *Server) CanRead() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(inputLimit-len(s.in), 0)
}

// Read implements chardev.Frontend.
func (s *Server) Read(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = append(s.in, p...)
	s.wake.Signal()
}

// Event implements chardev.Frontend: the machine stops when gdb comes.
func (s *Server) Event(e chardev.Event) {
	switch e {
	case chardev.Opened:
		if s.connected {
			return
		}
		s.connected, s.waiting, s.multi, s.physical, s.curG, s.curC = true, false, false, false, 0, 0
		s.stepFlags = stepDefault
		s.mu.Lock()
		s.in, s.reply, s.fresh = nil, "", true
		s.mu.Unlock()
		s.t.VM.Stop(mainloop.StatePaused)
	case chardev.Closed:
		s.connected, s.waiting = false, false
	}
}

// cpuStopped hears from a CPU that it has stopped.
func (s *Server) cpuStopped(d accel.DebugStop) {
	mainloop.Post(func() {
		if s.t.VM.Running() {
			s.stop = &d
			s.t.VM.Stop(mainloop.StateDebug)
		}
	})
}

// SetCPUs hears of CPUs that have come or gone; threads are numbered by the list. Preconditions: the machine lock is held.
func (s *Server) SetCPUs(list []CPU) {
	s.t.CPUs = list
	if s.curG >= len(list) {
		s.curG = 0
	}
	if s.curC >= len(list) {
		s.curC = 0
	}
}

// changed hears of the machine's run state. Preconditions: the machine lock is held.
func (s *Server) changed(running bool, state mainloop.RunState) {
	if running {
		return
	}
	for _, c := range s.t.CPUs {
		if d := s.t.Debugger; d != nil {
			d.SetStep(c.Index(), false)
		}
		c.Lower(accel.IRQHalt)
	}
	if !s.connected || !s.waiting {
		return
	}
	switch state {
	case mainloop.StateSaveVM, mainloop.StateRestoreVM:
		return
	}
	s.waiting = false
	s.mu.Lock()
	s.reply = s.stopReply(state)
	s.wake.Signal()
	s.mu.Unlock()
}

// run takes packets from the stream.
func (s *Server) run() {
	for {
		in, reply, ok := s.next()
		if !ok {
			return
		}
		if reply != "" {
			s.send(reply)
		}
		for _, c := range in {
			s.byte(c)
		}
	}
}

func (s *Server) next() (in []byte, reply string, ok bool) {
	s.mu.Lock()
	for !s.closed && len(s.in) == 0 && s.reply == "" {
		s.wake.Wait()
	}
	in, reply, ok = s.in, s.reply, !s.closed
	if s.fresh {
		s.noAck, s.dec = false, decoder{}
	}
	s.in, s.reply, s.fresh = nil, "", false
	s.mu.Unlock()
	if len(in) > 0 {
		s.port.AcceptInput()
	}
	return in, reply, ok
}

func (s *Server) byte(c byte) {
	switch s.dec.feed(c) {
	case evPacket:
		s.ack("+")
		s.interrupt()
		s.packet(string(s.dec.buf))
	case evBadPacket:
		s.ack("-")
	case evNak:
		s.port.WriteAll(s.last)
	case evBreak:
		s.interrupt()
	}
}

// interrupt stops the machine for what gdb has to say.
func (s *Server) interrupt() {
	mainloop.Lock.Lock()
	s.t.VM.Stop(mainloop.StatePaused)
	mainloop.Lock.Unlock()
	s.mu.Lock()
	reply := s.reply
	s.reply = ""
	s.mu.Unlock()
	if reply != "" {
		s.send(reply)
	}
}

func (s *Server) ack(c string) {
	if !s.noAck {
		s.port.WriteAll([]byte(c))
	}
}

// send sends a packet.
func (s *Server) send(text string) {
	s.last = encode(text)
	s.port.WriteAll(s.last)
}
