package tcg

import (
	"goemu/target/x86"
	eng "goemu/tcg"
)

// helper is the implementation of an x86.Helper.
type helper func(c *CPU, a, b, x uint64) (uint64, eng.Action)

// Adapters for the common shapes.

func do(f func(c *CPU)) helper {
	return func(c *CPU, _, _, _ uint64) (uint64, eng.Action) { f(c); return 0, eng.Continue }
}

func do1(f func(c *CPU, a uint64)) helper {
	return func(c *CPU, a, _, _ uint64) (uint64, eng.Action) { f(c, a); return 0, eng.Continue }
}

func do2(f func(c *CPU, a, b uint64)) helper {
	return func(c *CPU, a, b, _ uint64) (uint64, eng.Action) { f(c, a, b); return 0, eng.Continue }
}

func get1(f func(c *CPU, a uint64) uint64) helper {
	return func(c *CPU, a, _, _ uint64) (uint64, eng.Action) { return f(c, a), eng.Continue }
}

// restores makes a helper that tells whether the mode bits have changed.
func restores(f func(c *CPU, a, b uint64)) helper {
	return func(c *CPU, a, b, _ uint64) (uint64, eng.Action) {
		was := c.env.HFlags
		f(c, a, b)
		return uint64(was ^ c.env.HFlags), eng.Continue
	}
}

// transfer marks helpers that set PC: the block is left at once.
func transfer(f func(c *CPU, a, b, x uint64)) helper {
	return func(c *CPU, a, b, x uint64) (uint64, eng.Action) {
		f(c, a, b, x)
		c.env.ExitInfo = exitSet
		return 0, eng.Stop
	}
}

// interruptHelper makes a helper of an event that never comes back; soft tells that it is INT n.
func interruptHelper(kind func(vector uint64) eventKind, soft bool) helper {
	return func(c *CPU, vector, next, _ uint64) (uint64, eng.Action) {
		e := c.env
		if vm := e.EFlags&x86.FlagVM != 0; vm && soft {
			if c.redirected(uint8(vector)) {
				c.interruptVM(uint8(vector), next)
				c.env.ExitInfo = exitSet
				return 0, eng.Stop
			}
			if e.EFlags&x86.FlagIOPL != x86.FlagIOPL {
				c.gp(0)
			}
		}
		c.ev = event{kind: kind(vector), vector: uint8(vector), next: next, exception: !soft}
		return 0, eng.Fault
	}
}

func trapKind(vector uint64) eventKind {
	if vector == x86.ExcDB {
		return evICEBP
	}
	return evSoft
}

func softKind(uint64) eventKind { return evSoft }

const opsizeShift = 62

func helpFarCall(c *CPU, sel, off, next uint64) {
	size := 1 << (next >> opsizeShift) // 1, 2, 3: 16, 32, 64 bits
	pc := next &^ (3 << opsizeShift)
	if next>>(opsizeShift-1)&1 != 0 {
		pc |= 3 << opsizeShift // canonical addresses of the upper half
	}
	c.farCall(uint16(sel), off, pc, size)
}

func helpFarRet(c *CPU, size, release, _ uint64) {
	if c.protectedMode() {
		c.farRet(int(size), release, false)
		return
	}
	c.retFarReal(int(size), release)
}

// valueZF makes helpers of LAR and LSL.
func valueZF(f func(c *CPU, sel uint16) (uint64, bool)) helper {
	return func(c *CPU, sel, _, _ uint64) (uint64, eng.Action) {
		v, ok := f(c, uint16(sel))
		c.setFlag(zeroFlag, ok)
		return v, eng.Continue
	}
}

const zeroFlag = 1 << 6

func arpl(c *CPU, dst, src uint64) uint64 {
	if dst&3 >= src&3 {
		c.setFlag(zeroFlag, false)
		return dst
	}
	c.setFlag(zeroFlag, true)
	return dst&^3 | src&3
}

func writeSegBase(c *CPU, n, v uint64) {
	if !c.canonical(v) {
		c.gp(0)
	}
	c.env.Seg[n%x86.NumSegs].Base = v
}

func helpMonitor(c *CPU, at uint64) {
	if c.env.Regs[x86.RCX]&0xffffffff != 0 {
		c.gp(0)
	}
	c.rd(at, 1, c.mmuIndex())
}

func (c *CPU) rdpkru() {
	if c.env.CR[4]&x86.CR4PKE == 0 {
		c.ud()
	}
	if c.env.Regs[x86.RCX]&0xffffffff != 0 {
		c.gp(0)
	}
	c.setPair(uint64(c.env.PKRU))
}

func (c *CPU) wrpkru() {
	if c.env.CR[4]&x86.CR4PKE == 0 {
		c.ud()
	}
	if (c.env.Regs[x86.RCX]|c.env.Regs[x86.RDX])&0xffffffff != 0 {
		c.gp(0)
	}
	c.setPKRU(uint32(c.env.Regs[x86.RAX]))
}

func (c *CPU) rdtsc() {
	if c.env.CR[4]&x86.CR4TSD != 0 && c.env.CPL() != 0 {
		c.gp(0)
	}
	c.setPair(c.readTSC())
}

// helpers has a function for every x86.Helper.
var helpers = [x86.NumHelpers]helper{
	x86.HelperTrap:    interruptHelper(trapKind, false),
	x86.HelperSoftInt: interruptHelper(softKind, true),

	x86.HelperFarJump:  transfer(func(c *CPU, a, b, x uint64) { c.farJump(uint16(a), b, x) }),
	x86.HelperFarCall:  transfer(helpFarCall),
	x86.HelperFarRet:   transfer(helpFarRet),
	x86.HelperIret:     transfer(func(c *CPU, a, b, _ uint64) { c.iret(int(a), b) }),
	x86.HelperSyscall:  transfer(func(c *CPU, a, _, _ uint64) { c.syscall(a) }),
	x86.HelperSysret:   transfer(func(c *CPU, a, _, _ uint64) { c.sysret(int(a)) }),
	x86.HelperSysenter: transfer(func(c *CPU, _, _, _ uint64) { c.sysenter() }),
	x86.HelperSysexit:  transfer(func(c *CPU, a, _, _ uint64) { c.sysexit(int(a)) }),
	x86.HelperRSM:      transfer(func(c *CPU, _, _, _ uint64) { c.rsm() }),
	x86.HelperStepJump: func(c *CPU, pc, reason, _ uint64) (uint64, eng.Action) { return c.leaveAt(pc, uint32(reason)) },

	x86.HelperLoadSeg:       restores(func(c *CPU, n, sel uint64) { c.loadSeg(int(n), uint16(sel)) }),
	x86.HelperLLDT:          do1(func(c *CPU, a uint64) { c.lldt(uint16(a)) }),
	x86.HelperLTR:           do1(func(c *CPU, a uint64) { c.ltr(uint16(a)) }),
	x86.HelperLAR:           valueZF((*CPU).lar),
	x86.HelperLSL:           valueZF((*CPU).lsl),
	x86.HelperVERR:          do1(func(c *CPU, a uint64) { c.setFlag(zeroFlag, c.verify(uint16(a), false)) }),
	x86.HelperVERW:          do1(func(c *CPU, a uint64) { c.setFlag(zeroFlag, c.verify(uint16(a), true)) }),
	x86.HelperARPL:          func(c *CPU, a, b, _ uint64) (uint64, eng.Action) { return arpl(c, a, b), eng.Continue },
	x86.HelperLGDT:          do2(func(c *CPU, a, b uint64) { c.loadTable(&c.env.GDT, a, b) }),
	x86.HelperLIDT:          do2(func(c *CPU, a, b uint64) { c.loadTable(&c.env.IDT, a, b) }),
	x86.HelperWriteFSGSBase: do2(writeSegBase),

	x86.HelperReadCR:  get1((*CPU).readCR),
	x86.HelperWriteCR: do2((*CPU).writeCR),
	x86.HelperCLTS:    do(func(c *CPU) { c.env.CR[0] &^= x86.CR0TS; c.env.UpdateHFlags() }),
	x86.HelperLMSW:    do1((*CPU).lmsw),
	x86.HelperReadDR:  get1((*CPU).readDR),
	x86.HelperWriteDR: do2((*CPU).writeDR),
	x86.HelperRDMSR:   do(func(c *CPU) { c.setPair(c.readMSR(uint32(c.env.Regs[x86.RCX]))) }),
	x86.HelperWRMSR:   do(func(c *CPU) { c.writeMSR(uint32(c.env.Regs[x86.RCX]), c.pair()) }),
	x86.HelperXGETBV:  do((*CPU).xgetbv),
	x86.HelperXSETBV:  do((*CPU).xsetbv),
	x86.HelperINVLPG:  do1((*CPU).flushPage),
	x86.HelperINVPCID: do2((*CPU).invpcid),
	x86.HelperWBINVD:  do(func(*CPU) {}),
	x86.HelperCPUID:   do((*CPU).cpuid),
	x86.HelperRDTSC:   do((*CPU).rdtsc),
	x86.HelperRDTSCP:  do(func(c *CPU) { c.rdtsc(); c.env.Regs[x86.RCX] = c.env.TSCAux & 0xffffffff }),
	x86.HelperRDPMC:   do((*CPU).ud),
	x86.HelperRDPKRU:  do((*CPU).rdpkru),
	x86.HelperWRPKRU:  do((*CPU).wrpkru),
	x86.HelperRDRAND:  helpRDRAND,
	x86.HelperRDSEED:  helpRDRAND,
	x86.HelperMONITOR: do1(helpMonitor),
	x86.HelperMWAIT:   helpMWAIT,

	x86.HelperPushF: get1((*CPU).pushFlags),
	x86.HelperPopF: func(c *CPU, v, size, _ uint64) (uint64, eng.Action) {
		was := c.env.HFlags
		c.popFlags(v, int(size))
		return uint64(was ^ c.env.HFlags | c.env.IRQWait | b2u(c.lines.Load() != 0)), eng.Continue
	},
	x86.HelperCLI: do((*CPU).cli),
	x86.HelperSTI: do((*CPU).sti),

	x86.HelperIntercept: func(c *CPU, a, b, x uint64) (uint64, eng.Action) { c.checkIntercept(a, b, x); return 0, eng.Continue },
	x86.HelperVMRUN:     transfer(func(c *CPU, a, b, _ uint64) { c.vmrun(a, b) }),
	x86.HelperVMLOAD:    do1((*CPU).vmload),
	x86.HelperVMSAVE:    do1((*CPU).vmsave),
	x86.HelperVMMCALL:   do((*CPU).vmmcall),
	x86.HelperSTGI:      do(func(c *CPU) { c.setGIF(x86.SVMExitSTGI, true) }),
	x86.HelperCLGI:      do(func(c *CPU) { c.setGIF(x86.SVMExitCLGI, false) }),
	x86.HelperINVLPGA:   do1((*CPU).invlpga),

	x86.HelperIn: func(c *CPU, port, size, _ uint64) (uint64, eng.Action) {
		c.checkPort(uint16(port), int(size))
		return uint64(c.readIO(uint16(port), int(size))), eng.Continue
	},
	x86.HelperOut: func(c *CPU, port, size, v uint64) (uint64, eng.Action) {
		c.checkPort(uint16(port), int(size))
		c.writeIO(uint16(port), int(size), uint32(v))
		return uint64(c.gate.Requests() | c.wakingLines()), eng.Continue // a system management interrupt comes right behind the instruction
	},

	x86.HelperMovs: helpMovs,
	x86.HelperStos: helpStos,
	x86.HelperLods: helpLods,
	x86.HelperScas: helpScas,
	x86.HelperCmps: helpCmps,
	x86.HelperIns:  helpIns,
	x86.HelperOuts: helpOuts,

	x86.HelperEnter:      helpEnter,
	x86.HelperBound:      helpBound,
	x86.HelperCmpXchg8B:  helpCmpXchg8B,
	x86.HelperCmpXchg16B: helpCmpXchg16B,
	x86.HelperDAA:        do(func(c *CPU) { c.decimalAdjust(false) }),
	x86.HelperDAS:        do(func(c *CPU) { c.decimalAdjust(true) }),
	x86.HelperAAA:        do(func(c *CPU) { c.asciiAdjust(false) }),
	x86.HelperAAS:        do(func(c *CPU) { c.asciiAdjust(true) }),
	x86.HelperAAM:        helpAAM,
	x86.HelperAAD:        helpAAD,

	x86.HelperCheckSeg: do2((*CPU).checkSegment),

	x86.Helper3DNow: do2((*CPU).help3DNow),
	x86.HelperSSE4A: do2((*CPU).helpSSE4A),

	x86.HelperFXSAVE:   helpFXSAVE,
	x86.HelperFXRSTOR:  restores((*CPU).fxrstor),
	x86.HelperXSAVE:    do2(func(c *CPU, a, w uint64) { c.xsave(a, w != 0, false) }),
	x86.HelperXSAVEOPT: do2(func(c *CPU, a, w uint64) { c.xsave(a, w != 0, false) }),
	x86.HelperXSAVEC:   do2(func(c *CPU, a, w uint64) { c.xsave(a, w != 0, true) }),
	x86.HelperXSAVES:   do2(func(c *CPU, a, w uint64) { c.xsave(a, w != 0, true) }),
	x86.HelperXRSTOR:   restores(func(c *CPU, a, w uint64) { c.xrstor(a, w != 0, false) }),
	x86.HelperXRSTORS:  restores(func(c *CPU, a, w uint64) { c.xrstor(a, w != 0, true) }),
	x86.HelperFSAVE:    helpFSAVE,
	x86.HelperFRSTOR:   helpFRSTOR,
	x86.HelperFSTENV:   do2(func(c *CPU, a, b uint64) { c.fstenv(a, int(b)); c.maskX87() }),
	x86.HelperFLDENV:   do2(func(c *CPU, a, b uint64) { c.fldenv(a, int(b)) }),
	x86.HelperFNINIT:   do((*CPU).fninit),
	x86.HelperFWAIT:    do((*CPU).fwait),
	x86.HelperLDMXCSR:  do1(func(c *CPU, a uint64) { c.setMXCSR(uint32(a)) }),
	x86.HelperFLDCW:    do1(func(c *CPU, a uint64) { c.env.FPCW = uint16(a); c.env.UpdateFPUSoft() }),
	x86.HelperMaskMov:  do2((*CPU).maskMov),
}

// Helper implements goemu/tcg.CPU.
func (c *CPU) Helper(id uint32, a, b, x uint64) (ret uint64, act eng.Action) {
	defer func() {
		if r := recover(); r != nil {
			if r != unwind {
				panic(r)
			}
			ret, act = 0, c.failed()
		}
	}()
	return helpers[id](c, a, b, x)
}
