package amd64

import (
	"testing"

	"goemu/tcg/ir"
)

// Every vector and x87 operation has a code generator.
func TestVectorOperationsComplete(t *testing.T) {
	special, x87 := makeVecSpecials(), makeX87()
	for o := ir.VInvalid + 1; o < ir.NumVecOps; o++ {
		if vecEncs[o].form == encNone && special[o] == nil {
			t.Errorf("%s has no encoding", o)
		}
	}
	for o := ir.X87Invalid + 1; o < ir.NumX87Ops; o++ {
		if x87[o] == nil {
			t.Errorf("%s has no encoding", o)
		}
	}
}

// Words of Header.Spill that the vector code uses do not overlap those of temporaries.
func TestVectorSpillWords(t *testing.T) {
	if vecTop >= slotBase || vecLive <= saveFlags+1 || vecCSR <= vecLive {
		t.Errorf("words %d to %d, temporaries from %d", vecLive, vecTop, slotBase)
	}
}
