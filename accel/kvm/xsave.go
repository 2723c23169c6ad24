package kvm

import "goemu/target/x86"

// Places in the XSAVE area in its standard form (Intel SDM volume 1, §13.4).
const (
	xsFCW, xsFSW, xsFTW, xsFOP = 0, 2, 4, 6
	xsFIP, xsFDP, xsMXCSR      = 8, 16, 24
	xsST, xsXMM                = 32, 160
	xsBV                       = 512
	xsYMMH                     = 576
	xsSlot                     = 16

	fswTopShift = 11
)

// pkruPlace is where the host keeps the protection keys' rights, 0 if it does not.
func (c *CPU) pkruPlace() int {
	const leafXsave, component = 0xd, 9
	r := c.accel.h.leaf(leafXsave, component)
	if r[0] < 8 || int(r[1])+8 > len(c.xsave) {
		return 0
	}
	return int(r[1])
}

func (c *CPU) pullXsave() error {
	if c.xsave == nil {
		c.xsave = make([]byte, sizeXsave)
	}
	if _, err := c.k.ioctlData(c.fd, reqGetXsave, c.xsave); err != nil {
		return requestError(reqGetXsave, err)
	}
	s, b := &c.rest, c.xsave
	s.FCW, s.FSW, s.FTags, s.FOp = le.Uint16(b[xsFCW:]), le.Uint16(b[xsFSW:]), uint16(b[xsFTW]), le.Uint16(b[xsFOP:])
	s.FIP, s.FDP, s.MXCSR = le.Uint64(b[xsFIP:]), le.Uint64(b[xsFDP:]), le.Uint32(b[xsMXCSR:])
	top := int(s.FSW >> fswTopShift & 7)
	for i := range s.FP { // the area has them in the order of the stack
		p := b[xsST+i*xsSlot:]
		s.FP[(top+i)&7] = x86.FPReg{Mantissa: le.Uint64(p), Exponent: le.Uint16(p[8:])}
	}
	bv := le.Uint64(b[xsBV:])
	for i := range s.Vec {
		lo, hi := b[xsXMM+i*xsSlot:], b[xsYMMH+i*xsSlot:]
		s.Vec[i] = [4]uint64{le.Uint64(lo), le.Uint64(lo[8:])}
		if bv&x86.XFeatAVX != 0 {
			s.Vec[i][2], s.Vec[i][3] = le.Uint64(hi), le.Uint64(hi[8:])
		}
	}
	s.XStateBV, s.PKRU = bv, 0
	if at := c.pkruPlace(); at != 0 && bv&x86.XFeatPKRU != 0 {
		s.PKRU = le.Uint32(b[at:])
	}
	return nil
}

// pushXsave changes what we know of in the area as the kernel has it: other components stay as they are.
func (c *CPU) pushXsave() error {
	s := &c.rest
	if c.xsave == nil || c.whole {
		c.xsave = make([]byte, sizeXsave)
	}
	b := c.xsave
	le.PutUint16(b[xsFCW:], s.FCW)
	le.PutUint16(b[xsFSW:], s.FSW)
	le.PutUint16(b[xsFTW:], s.FTags)
	le.PutUint16(b[xsFOP:], s.FOp)
	le.PutUint64(b[xsFIP:], s.FIP)
	le.PutUint64(b[xsFDP:], s.FDP)
	le.PutUint32(b[xsMXCSR:], s.MXCSR)
	top := int(s.FSW >> fswTopShift & 7)
	for i := range s.FP {
		p, f := b[xsST+i*xsSlot:], s.FP[(top+i)&7]
		le.PutUint64(p, f.Mantissa)
		le.PutUint16(p[8:], f.Exponent)
	}
	bv := le.Uint64(b[xsBV:]) | x86.XFeatX87 | x86.XFeatSSE
	avx := c.accel.opt.Config.Features.Has(x86.FeatAVX)
	for i, v := range s.Vec {
		lo, hi := b[xsXMM+i*xsSlot:], b[xsYMMH+i*xsSlot:]
		le.PutUint64(lo, v[0])
		le.PutUint64(lo[8:], v[1])
		if avx {
			le.PutUint64(hi, v[2])
			le.PutUint64(hi[8:], v[3])
			bv |= x86.XFeatAVX
		}
	}
	if at := c.pkruPlace(); at != 0 && c.accel.opt.Config.Features.Has(x86.FeatPKU) {
		le.PutUint32(b[at:], s.PKRU)
		bv |= x86.XFeatPKRU
	}
	le.PutUint64(b[xsBV:], bv)
	if _, err := c.k.ioctlData(c.fd, reqSetXsave, b); err != nil {
		return requestError(reqSetXsave, err)
	}
	return nil
}
