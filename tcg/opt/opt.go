// Package opt improves blocks of the intermediate representation. Each pass is one walk over the block without allocation. It knows
// no guest and no host instruction set.
package opt

import "goemu/tcg/ir"

// Pass is one walk over a block.
type Pass struct {
	Name string
	Run  func(o *Optimizer, b *ir.Block)
}

// Passes are run in this order. None is required for correctness.
var Passes = []Pass{
	{"liveness", (*Optimizer).liveness},
	{"simplify", (*Optimizer).simplify},
	{"cleanup", (*Optimizer).liveness},
}

// Optimizer has the buffers of the passes. It serves one block at a time.
type Optimizer struct {
	globals  []ir.GlobalInfo
	disabled uint64 // by index of Passes

	// After, if set, is called after each pass that ran.
	After func(pass string, b *ir.Block)

	// Of liveness, by Val.
	need []uint64 // Int: non-zero if used; Flags: the bits used

	// Of simplify, by Val.
	repl []ir.Val // the value to use instead, or None
	def  []int32  // index of the defining instruction + 1
	zext []uint8  // low bytes that may be non-zero
	// Of simplify, by Global.
	known []ir.Val
}

// New returns an optimiser for blocks over these globals.
func New(globals []ir.GlobalInfo) *Optimizer {
	return &Optimizer{globals: globals, known: make([]ir.Val, len(globals))}
}

// Disable switches the passes of a name off; false if there is none.
func (o *Optimizer) Disable(name string) bool {
	found := false
	for i := range Passes {
		if Passes[i].Name == name {
			o.disabled |= 1 << i
			found = true
		}
	}
	return found
}

// Run runs all passes on a block.
func (o *Optimizer) Run(b *ir.Block) {
	for i := range Passes {
		if o.disabled>>i&1 != 0 {
			continue
		}
		Passes[i].Run(o, b)
		if o.After != nil {
			o.After(Passes[i].Name, b)
		}
	}
}

// resized is s with n zero elements.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, 2*n)
	}
	s = s[:n]
	clear(s)
	return s
}
