package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Secure virtual machine mode (AMD64 APM volume 2, chapter 15): its instructions, and the intercepts, which end a nested guest before an
// instruction. They are looked at when the code executes, only in code of nested guests.

// intercepts maps instructions that are intercepted whatever their operands are to exit codes. All checks of privilege come first.
var intercepts = map[string]uint8{
	"sidt": x86.SVMExitReadIDTR, "sgdt": x86.SVMExitReadGDTR, "sldt": x86.SVMExitReadLDTR, "str": x86.SVMExitReadTR,
	"lidt": x86.SVMExitLoadIDTR, "lgdt": x86.SVMExitLoadGDTR, "lldt": x86.SVMExitLoadLDTR, "ltr": x86.SVMExitLoadTR,
	"rdtsc": x86.SVMExitRDTSC, "rdtscp": x86.SVMExitRDTSCP, "rdpmc": x86.SVMExitRDPMC, "cpuid": x86.SVMExitCPUID,
	"pushf": x86.SVMExitPUSHF, "popf": x86.SVMExitPOPF, "iret": x86.SVMExitIRET, "rsm": x86.SVMExitRSM,
	"int": x86.SVMExitINT, "int1": x86.SVMExitICEBP, "hlt": x86.SVMExitHLT, "pause": x86.SVMExitPAUSE,
	"invd": x86.SVMExitINVD, "wbinvd": x86.SVMExitWBINVD, "invlpg": x86.SVMExitINVLPG,
	"monitor": x86.SVMExitMONITOR, "mwait": x86.SVMExitMWAIT, "xsetbv": x86.SVMExitXSETBV,
}

// svm are the attributes of the mode's own instructions, which check EFER.SVME and the privilege level themselves: #UD comes first.
const svm = noReal | system

// intercept ends a nested guest if its host wants that for an exit code. The parameter is the new value of CR0 for SVMExitWriteCR, whether
// it is a write for SVMExitMSR, and exit_info_1 for SVMExitIOIO.
func (t *Translator) intercept(code uint64, param ...ir.Val) {
	if t.hflags&x86.HFGuest == 0 {
		return
	}
	p := t.b.Const(0)
	if len(param) != 0 {
		p = param[0]
	}
	t.call(x86.HelperIntercept, t.b.Const(code), t.b.Const(t.d.next), p)
}

// interceptIO is intercept for an access of size bytes to a port.
func (t *Translator) interceptIO(port ir.Val, size uint8, info uint64) {
	if t.hflags&x86.HFGuest == 0 {
		return
	}
	info |= uint64(size)<<4 | uint64(t.d.addrsize)<<6
	t.intercept(x86.SVMExitIOIO, t.b.Or(8, t.b.Shl(8, port, t.b.Const(16)), t.b.Const(info)))
}

func (t *Translator) interceptStringIO(in bool) {
	info := uint64(x86.SVMIOString) | uint64(t.srcSeg())<<10
	if in {
		info |= x86.SVMIOIn
	}
	if t.d.rep != 0 {
		info |= x86.SVMIORep
	}
	t.interceptIO(t.b.Ext(2, t.gpr(x86.RDX)), t.strSize(), info)
}

func genVMRUN(t *Translator, d *inst) {
	t.control(x86.HelperVMRUN, t.b.Const(d.next), t.b.Const(uint64(d.addrsize)))
}

// genVMState is VMLOAD and VMSAVE. The former changes segments' bases, and with FS and GS no mode bits of 64-bit code.
func genVMState(h x86.Helper) genFunc {
	return func(t *Translator, d *inst) {
		t.call(h, t.b.Const(uint64(d.addrsize)))
		t.leave(x86.ExitMode)
	}
}

// genGIF is STGI and CLGI.
func genGIF(h x86.Helper) genFunc {
	return func(t *Translator, _ *inst) {
		t.call(h)
		t.leave(x86.ExitIRQ)
	}
}

func genINVLPGA(t *Translator, d *inst) {
	t.call(x86.HelperINVLPGA, t.b.Ext(d.addrsize, t.gpr(x86.RAX)))
	t.mapped()
}
