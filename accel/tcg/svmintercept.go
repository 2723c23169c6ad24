package tcg

import "goemu/target/x86"

// intercepts tells whether a nested guest executes whose host wants it to end for an exit code below SVMExitNPF.
func (c *CPU) intercepts(code uint64) bool {
	s := &c.svm
	if c.env.HFlags&x86.HFGuest == 0 {
		return false
	}
	switch {
	case code < x86.SVMExitWriteCR:
		return s.CRRead>>code&1 != 0
	case code < x86.SVMExitReadDR:
		return s.CRWrite>>(code-x86.SVMExitWriteCR)&1 != 0
	case code < x86.SVMExitWriteDR:
		return s.DRRead>>(code-x86.SVMExitReadDR)&1 != 0
	case code < x86.SVMExitExc:
		return s.DRWrite>>(code-x86.SVMExitWriteDR)&1 != 0
	case code < x86.SVMExitINTR:
		return s.Exceptions>>(code-x86.SVMExitExc)&1 != 0
	}
	return s.Intercept>>(code-x86.SVMExitINTR)&1 != 0
}

// end abandons the instruction and ends the nested guest.
func (c *CPU) end(x vmexit) {
	c.ev = event{kind: evExit, exit: x}
	panic(unwind)
}

// endIf does so if the exit code is intercepted.
func (c *CPU) endIf(code uint64) {
	if c.intercepts(code) {
		c.end(vmexit{code: code})
	}
}

// endNow ends the nested guest between two instructions if the exit code is intercepted.
func (c *CPU) endNow(code uint64) bool {
	if !c.intercepts(code) {
		return false
	}
	c.leaveGuest(vmexit{code: code})
	return true
}

// endsGuest ends the nested guest if the event is its end, or an exception that its host intercepts.
func (c *CPU) endsGuest(ev *event) bool {
	if c.env.HFlags&x86.HFGuest == 0 {
		return false
	}
	x := ev.exit
	if ev.kind != evExit {
		exception := ev.kind == evFault || ev.kind == evTrap || ev.kind == evICEBP || ev.kind == evSoft && ev.exception
		if ev.injected || !exception || !c.intercepts(x86.SVMExitExc+uint64(ev.vector)) {
			return false
		}
		x = vmexit{code: x86.SVMExitExc + uint64(ev.vector)}
		if ev.hasErr {
			x.info1 = uint64(ev.err)
		}
		if ev.vector == x86.ExcPF {
			x.info2 = ev.cr2
		}
	}
	c.leaveGuest(x)
	return true
}

// checkIntercept implements HelperIntercept.
func (c *CPU) checkIntercept(code, next, param uint64) {
	e := c.env
	switch code {
	case x86.SVMExitRDTSC, x86.SVMExitRDTSCP:
		if e.CR[4]&x86.CR4TSD != 0 && e.CPL() != 0 {
			c.gp(0)
		}
	case x86.SVMExitIOIO:
		c.checkPortIntercept(param, next)
		return
	case x86.SVMExitMSR:
		c.checkMSRIntercept(uint32(e.Regs[x86.RCX]), param)
		return
	}
	c.endIf(code)
	if code == x86.SVMExitWriteCR && (param^e.CR[0])&^(x86.CR0TS|x86.CR0MP) != 0 {
		c.endIf(x86.SVMExitCR0Sel)
	}
}

// checkPortIntercept looks a port up in the permission map. info is exit_info_1.
func (c *CPU) checkPortIntercept(info, next uint64) {
	port, size := info>>16&0xffff, info>>4&7
	if info&x86.SVMIORep != 0 && truncPC(c.env.Regs[x86.RCX], int(info>>6&0xe)) == 0 {
		return
	}
	c.checkPort(uint16(port), int(size))
	if !c.intercepts(x86.SVMExitIOIO) {
		return
	}
	bits := c.physLoad(c.vmcb(x86.VMCBIOPM, 8)&pageMask+port>>3, 2) >> (port & 7)
	if bits&(1<<size-1) != 0 {
		c.end(vmexit{x86.SVMExitIOIO, info, next})
	}
}

// checkMSRIntercept looks a model-specific register up in the permission map, which has two bits for each of three ranges.
func (c *CPU) checkMSRIntercept(index uint32, write uint64) {
	const size = 0x2000
	if !c.intercepts(x86.SVMExitMSR) {
		return
	}
	for i, base := range [...]uint32{0, 0xc0000000, 0xc0010000} {
		if index-base >= size {
			continue
		}
		bit := 2*uint64(index-base+uint32(i)*size) + write
		if c.physLoad(c.vmcb(x86.VMCBMSRPM, 8)&pageMask+bit>>3, 1)>>(bit&7)&1 == 0 {
			return
		}
	}
	c.end(vmexit{x86.SVMExitMSR, write, 0})
}
