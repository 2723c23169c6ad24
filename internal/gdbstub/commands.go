package gdbstub

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"goemu/accel"
	"goemu/internal/mainloop"
)

// Signals of stop replies.
const (
	sigInt, sigQuit, sigTrap, sigAbort, sigAlarm, sigIO, sigCPU, sigUnknown = 2, 3, 5, 6, 14, 23, 24, 143
)

// Flags of single steps, as maintenance packets of QEMU's name them.
const (
	stepEnable, stepNoIRQ, stepNoTimer = 1, 2, 4
	stepDefault                        = stepEnable | stepNoIRQ | stepNoTimer
)

// Answers.
const (
	answerOK  = "OK"
	errArg    = "E22"
	errMemory = "E14"
)

// stateSignals tells why the machine stopped.
var stateSignals = map[mainloop.RunState]int{
	mainloop.StatePaused: sigInt, mainloop.StateShutdown: sigQuit, mainloop.StateDebug: sigTrap, mainloop.StateInternalError: sigAbort,
	mainloop.StateWatchdog: sigAlarm, mainloop.StateIOError: sigIO, mainloop.StateFinishMigrate: sigCPU,
}

// thread is a CPU's name.
func (s *Server) thread(cpu int) string {
	if s.multi {
		return fmt.Sprintf("p01.%02x", cpu+1)
	}
	return fmt.Sprintf("%02x", cpu+1)
}

// stopReply tells where and why the machine has stopped. Preconditions: the machine lock is held.
func (s *Server) stopReply(state mainloop.RunState) string {
	sig, ok := stateSignals[state]
	if !ok {
		sig = sigUnknown
	}
	watch := ""
	if d := s.stop; state == mainloop.StateDebug && d != nil {
		at := max(0, slices.IndexFunc(s.t.CPUs, func(c CPU) bool { return c.Index() == d.CPU }))
		s.curG, s.curC = at, at
		if w := d.Watch; w != nil {
			kind := ""
			switch {
			case w.Read && w.Write:
				kind = "a"
			case w.Read:
				kind = "r"
			}
			watch = fmt.Sprintf("%swatch:%x;", kind, d.Addr)
		}
	}
	s.stop = nil
	return fmt.Sprintf("T%02xthread:%s;%s", sig, s.thread(s.curC), watch)
}

// packet executes a packet and answers it.
func (s *Server) packet(p string) {
	if line, ok := strings.CutPrefix(p, "qRcmd,"); ok {
		s.monitor(line)
		return
	}
	mainloop.Lock.Lock()
	answer, silent := s.execute(p)
	mainloop.Lock.Unlock()
	if !silent {
		s.send(answer)
	}
}

// monitor is qRcmd: the output comes in packets of its own.
func (s *Server) monitor(digits string) {
	line, err := hex.DecodeString(digits)
	switch {
	case err != nil:
		s.send(errArg)
		return
	case s.t.Monitor == nil:
		s.send("")
		return
	}
	out := s.t.Monitor(string(line))
	const chunk = (packetLimit - 1) / 2
	for len(out) > 0 {
		n := min(len(out), chunk)
		s.send("O" + hex.EncodeToString([]byte(out[:n])))
		out = out[n:]
	}
	s.send(answerOK)
}

// execute does what a packet asks for. Preconditions: the machine lock is held and the machine is stopped.
func (s *Server) execute(p string) (answer string, silent bool) {
	if p == "" {
		return "", false
	}
	arg := p[1:]
	switch p[0] {
	case '!':
		return answerOK, false
	case '?':
		s.clearBreaks()
		return fmt.Sprintf("T%02xthread:%s;", sigTrap, s.thread(s.curG)), false
	case 'g':
		return s.readAll(), false
	case 'G':
		return s.writeAll(arg), false
	case 'p':
		return s.readReg(arg), false
	case 'P':
		return s.writeReg(arg), false
	case 'm':
		return s.readMemory(arg), false
	case 'M':
		return s.writeMemory(arg, false), false
	case 'X':
		return s.writeMemory(arg, true), false
	case 'c', 's', 'C', 'S':
		return s.resumeOne(p[0], arg)
	case 'D':
		s.clearBreaks()
		s.resume(nil)
		return answerOK, false
	case 'k':
		s.t.Kill()
		return "", true
	case 'H':
		return s.setThread(arg), false
	case 'T':
		if _, ok := s.parseThread(arg); !ok {
			return errArg, false
		}
		return answerOK, false
	case 'Z', 'z':
		return s.breakpoint(arg, p[0] == 'Z'), false
	case 'q', 'Q':
		return s.query(p), false
	case 'v':
		return s.multiLetter(p)
	}
	return "", false
}

// query is a packet that begins with q or Q.
func (s *Server) query(p string) string {
	name, arg, _ := strings.Cut(p, ":")
	switch name {
	case "qSupported":
		s.multi = strings.Contains(arg, "multiprocess+")
		return fmt.Sprintf("PacketSize=%x;qXfer:features:read+;vContSupported+;multiprocess+;QStartNoAckMode+", packetLimit)
	case "QStartNoAckMode":
		s.noAck = true
		return answerOK
	case "qXfer":
		if rest, ok := strings.CutPrefix(arg, "features:read:"); ok {
			return s.xfer(rest)
		}
	case "qAttached":
		return "1"
	case "qC":
		return "QC" + s.thread(s.curG)
	case "qfThreadInfo":
		s.list = 0
		return s.nextThread()
	case "qsThreadInfo":
		return s.nextThread()
	case "qqemu.sstepbits":
		return fmt.Sprintf("ENABLE=%x,NOIRQ=%x,NOTIMER=%x", stepEnable, stepNoIRQ, stepNoTimer)
	case "qqemu.sstep":
		return fmt.Sprintf("0x%x", s.stepFlags)
	case "qqemu.PhyMemMode":
		if s.physical {
			return "1"
		}
		return "0"
	case "Qqemu.PhyMemMode":
		s.physical = strings.TrimLeft(arg, "0") != ""
		return answerOK
	}
	if id, ok := strings.CutPrefix(p, "qThreadExtraInfo,"); ok {
		return s.threadInfo(id)
	}
	return ""
}

// xfer sends a part of the description of registers.
func (s *Server) xfer(arg string) string {
	annex, place, _ := strings.Cut(arg, ":")
	off, n, ok := pair(place)
	switch {
	case annex != "target.xml":
		return "E00"
	case !ok || off > uint64(len(s.xml)):
		return "E00"
	}
	rest := s.xml[off:]
	n = min(n, packetLimit/2)
	if n >= uint64(len(rest)) {
		return "l" + rest
	}
	return "m" + rest[:n]
}

func (s *Server) nextThread() string {
	if s.list >= len(s.t.CPUs) {
		return "l"
	}
	s.list++
	return "m" + s.thread(s.list-1)
}

func (s *Server) threadInfo(id string) string {
	cpu, ok := s.parseThread(id)
	if !ok || cpu < 0 {
		return errArg
	}
	word := "running"
	if s.t.CPUs[cpu].Halted() {
		word = "halted "
	}
	return hex.EncodeToString(fmt.Appendf(nil, "CPU#%d [%s]", cpu, word))
}

// allThreads stands for every CPU.
const allThreads = -1

// parseThread reads a thread's name; 0 is any, -1 all.
func (s *Server) parseThread(id string) (cpu int, ok bool) {
	if rest, isMulti := strings.CutPrefix(id, "p"); isMulti {
		process, thread, has := strings.Cut(rest, ".")
		if n, err := strconv.ParseInt(process, 16, 32); err != nil || n != 1 && n != 0 && n != -1 {
			return 0, false
		}
		if id = thread; !has {
			id = "-1"
		}
	}
	n, err := strconv.ParseInt(id, 16, 32)
	switch {
	case err != nil || n < -1 || n > int64(len(s.t.CPUs)):
		return 0, false
	case n == -1:
		return allThreads, true
	case n == 0:
		return 0, len(s.t.CPUs) > 0
	}
	return int(n) - 1, true
}

func (s *Server) setThread(arg string) string {
	if arg == "" {
		return errArg
	}
	cpu, ok := s.parseThread(arg[1:])
	switch {
	case !ok:
		return errArg
	case cpu == allThreads:
		return answerOK
	}
	switch arg[0] {
	case 'c':
		s.curC = cpu
	case 'g':
		s.curG = cpu
	default:
		return errArg
	}
	return answerOK
}

// Kinds of breakpoints in Z packets.
const (
	breakSoft, breakHard, watchWrite, watchRead, watchAccess = "0", "1", "2", "3", "4"
)

// breakpoint inserts or removes a breakpoint or watchpoint.
func (s *Server) breakpoint(arg string, insert bool) string {
	kind, rest, _ := strings.Cut(arg, ",")
	place, _, _ := strings.Cut(rest, ";")
	addr, length, ok := pair(place)
	if !ok {
		return errArg
	}
	if s.t.Debugger == nil {
		return ""
	}
	switch kind {
	case breakSoft, breakHard:
		return s.setBreak(addr, insert)
	case watchWrite, watchRead, watchAccess:
		w := accel.Watchpoint{Addr: addr, Len: length, Read: kind != watchWrite, Write: kind != watchRead}
		return s.setWatch(w, insert)
	}
	return ""
}

// Limits of what gdb may ask for.
const breakLimit, watchLimit, watchSizeLimit = 4096, 64, 1 << 20

func (s *Server) setBreak(addr uint64, insert bool) string {
	switch {
	case insert && len(s.breaks) >= breakLimit, !insert && s.breaks[addr] == 0:
		return errArg
	case insert:
		s.breaks[addr]++
	default:
		if s.breaks[addr]--; s.breaks[addr] == 0 {
			delete(s.breaks, addr)
		}
	}
	s.applyBreaks()
	return answerOK
}

func (s *Server) applyBreaks() {
	var list []uint64
	for a := range s.breaks {
		list = append(list, a)
	}
	s.t.Debugger.SetBreakpoints(list)
}

func (s *Server) setWatch(w accel.Watchpoint, insert bool) string {
	if w.Len == 0 || w.Len > watchSizeLimit || w.Addr+w.Len-1 < w.Addr {
		return errArg
	}
	if insert {
		if len(s.watches) >= watchLimit {
			return errArg
		}
		list := append(s.watches[:len(s.watches):len(s.watches)], w)
		if l, ok := s.t.Debugger.(accel.WatchLimiter); ok && !l.CanWatch(list) {
			return errArg
		}
		s.watches = list
	} else {
		i := 0
		for ; i < len(s.watches) && s.watches[i] != w; i++ {
		}
		if i == len(s.watches) {
			return errArg
		}
		s.watches = append(s.watches[:i:i], s.watches[i+1:]...)
	}
	s.t.Debugger.SetWatchpoints(s.watches)
	return answerOK
}

// clearBreaks removes everything that was inserted.
func (s *Server) clearBreaks() {
	if s.t.Debugger == nil || len(s.breaks)+len(s.watches) == 0 {
		return
	}
	clear(s.breaks)
	s.watches = nil
	s.applyBreaks()
	s.t.Debugger.SetWatchpoints(nil)
}

// pair reads two hexadecimal numbers with a comma in between.
func pair(text string) (a, b uint64, ok bool) {
	x, y, has := strings.Cut(text, ",")
	a, err1 := strconv.ParseUint(x, 16, 64)
	b, err2 := strconv.ParseUint(y, 16, 64)
	return a, b, has && err1 == nil && err2 == nil
}
