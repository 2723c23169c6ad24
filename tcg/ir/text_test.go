package ir

import (
	"strings"
	"testing"
)

const sample = `block 0x1000
insn.3 #0x1000
v1 = get.8 rax
v2 = const.8 #0x10
v3, f4 = add.4 v1, v2
setflags f4
v5 = ld.2 #0xfffffffffffffff8, m1sa2, v3
v6, v7 = divu.4 v5, v1, v2
v8, f9 = shl.8 v6, v2, f4
_, f10 = sub.8 v7, v8
v11 = lea.8 #0x4, %3, v1, v8
exitif ne, ->0, f10
ldv.16!1 (3 _ _ _), #0x0, m0, v11
vec.16 o, vadd8(1 1 16 _), #0x3, %0
x87.10 o, fadd(32 32 39 _), #0x0, %0
v12 = call.8 #0x7, v1, _, v11
set.8 rcx, v12
v13 = atomic.4!2 #0x0, %1, m0, v1, v12
goto ->1
exit 0 direct 0x2000
exit 1 reason 5 0x1003
`

var sampleGlobals = []GlobalInfo{{Name: "rax"}, {Name: "rcx"}}

// TestTextRoundTrip parses a block that has every kind of operand, verifies it and prints it again.
func TestTextRoundTrip(t *testing.T) {
	text := sample
	b, err := Parse(text, sampleGlobals)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(b, len(sampleGlobals)); err != nil {
		t.Error(err)
	}
	if got := Text(b, sampleGlobals); got != text {
		t.Errorf("got:\n%s\nwant:\n%s", got, text)
	}
}

// TestVerifyRejects takes blocks with one mistake each.
func TestVerifyRejects(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"undefined", "v2 = ext.1 v1\ngoto ->0", "not defined"},
		{"twice", "v1 = const.8 #1\nv1 = get.8 rax\ngoto ->0", "defined twice"},
		{"kind", "v1 = const.8 #1\nset.8 rax, v1\nsetflags f1\ngoto ->0", "kind"},
		{"no end", "v1 = const.8 #1", "ends the block"},
		{"end inside", "goto ->0\ngoto ->0", "ends the block"},
		{"exit", "goto ->1", "exit 1 of 1"},
		{"size", "v1 = get.8 rax\nv2 = ext.8 v1\ngoto ->0", "size 8"},
		{"odd size", "v1 = get.8 rax\nv2 = not.3 v1\ngoto ->0", "size 3"},
		{"missing", "v1 = get.8 rax\nv2, _ = add.8 v1\ngoto ->0", "missing"},
		{"field", "v1 = get.8 rax\nv2 = extract.8 #0x4101, v1\ngoto ->0", "field"},
		{"align", "v1 = get.8 rax\nv2 = ld.8 #0, m0a3, v1\ngoto ->0", "alignment"},
		{"empty", "", "no instructions"},
	} {
		b, err := Parse(c.text+"\nexit 0 direct 0", sampleGlobals)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := Verify(b, len(sampleGlobals)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestOpsComplete checks that every operation has its row and that names are unique.
func TestOpsComplete(t *testing.T) {
	seen := map[string]Op{}
	for o := OpInvalid + 1; o < OpEnd; o++ {
		i := o.Info()
		if i.Name == "" {
			t.Errorf("operation %d has no row", o)
			continue
		}
		if p, dup := seen[i.Name]; dup {
			t.Errorf("operations %d and %d are both %q", p, o, i.Name)
		}
		seen[i.Name] = o
		if i.Need&i.May != 0 {
			t.Errorf("%s: operands %#x are both needed and optional", i.Name, i.Need&i.May)
		}
	}
}

// FuzzParse feeds the parser and the verifier with damaged text.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, s string) {
		b, err := Parse(s, sampleGlobals)
		if err != nil {
			return
		}
		if Verify(b, len(sampleGlobals)) != nil {
			return
		}
		if _, err := Parse(Text(b, sampleGlobals), sampleGlobals); err != nil {
			t.Errorf("the text of a valid block does not parse: %v", err)
		}
	})
}
