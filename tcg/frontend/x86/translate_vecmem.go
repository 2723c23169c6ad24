package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// maskMov calls the helper for masked accesses.
func (v *vecInsn) maskMov(addr ir.Val, m x86.MaskMov) {
	m.Addr32 = !v.t.code64()
	v.b.Call(uint32(x86.HelperMaskMov), addr, v.b.Const(m.Pack()), ir.None)
}

// stringDest is DS:rDI (or another segment) as a linear address.
func (t *Translator) stringDest() ir.Val {
	d := &t.d
	d.base, d.index, d.disp = x86.RDI, none, 0
	return t.linearEA()
}

// vsib takes the vector index out of the memory operand: the linear address without it, the index register and its scale. ok is false
// without a SIB byte or with 16-bit addresses.
func (t *Translator) vsib() (base ir.Val, index, scale uint8, ok bool) {
	d := &t.d
	if d.rm3 != 4 || d.addrsize == 2 {
		return ir.None, 0, 0, false
	}
	index, scale = d.index, d.scale&3
	if index == none {
		index = x86.RSP
	}
	d.index = none
	return t.linearEA(), index, scale, true
}

// fMaskMov is MASKMOVQ and MASKMOVDQU to DS:rDI.
func fMaskMov(v *vecInsn) {
	v.maskMov(v.t.stringDest(), x86.MaskMov{
		Kind: x86.MaskMovBytes, Data: uint8(v.dst()), Mask: uint8(v.vreg(v.rm)), Elem: 1, Len: v.len,
	})
}

// elem is the element size of the masked moves: the opcode tells for VMASKMOVPS/PD, W for the integer ones.
func (v *vecInsn) elem() uint8 {
	switch {
	case v.row.op < 0x30: // VMASKMOVPS 2C, 2E; VMASKMOVPD 2D, 2F
		return 4 << (v.row.op & 1)
	case v.w:
		return 8
	}
	return 4
}

func fMaskLoad(v *vecInsn) {
	v.maskMov(v.t.linearEA(), x86.MaskMov{Kind: x86.MaskMovLoad, Data: v.reg, Mask: v.vvvv, Elem: v.elem(), Len: v.len})
}

func fMaskStore(v *vecInsn) {
	v.maskMov(v.t.linearEA(), x86.MaskMov{Kind: x86.MaskMovStore, Data: v.reg, Mask: v.vvvv, Elem: v.elem(), Len: v.len})
}

// fGather is VPGATHERxx and VGATHERxPx: opcodes with bit 0 set have 64-bit indices.
func fGather(v *vecInsn) {
	base, index, scale, ok := v.t.vsib()
	if !ok || v.reg == v.vvvv || v.reg == index || v.vvvv == index {
		v.t.raiseUD()
		return
	}
	m := x86.MaskMov{
		Kind: x86.MaskMovGather, Data: v.reg, Mask: v.vvvv, Elem: v.elem(), Len: v.len,
		Index: index, IdxSize: 4 << (v.row.op & 1), Scale: scale,
	}
	if m.IdxSize > m.Elem { // as many elements as there are indices
		m.Len /= 2
	}
	v.maskMov(base, m)
}
