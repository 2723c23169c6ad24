package amd64

import "testing"

// refused are blocks that the backend once could not compile.
var refused = []struct{ name, text string }{
	{"operand evicted by its own instruction", `insn.5 #0xffffffff8179c8d1
v1 = const.8 #0x1000
set.8 rdx, v1
insn.9 #0xffffffff8179c8d6
v2 = const.8 #0xffffffff82be0040
v3 = ldrmw.8 #0x0, m1, v2
v4, f5 = add.8 v3, v1
st.8 #0x0, m1, v2, v4
set.8 rdx, v3
setflags f5
insn.5 #0xffffffff8179c8df
goto ->0
exit 0 direct 0xffffffff8179c681`},
}

func TestRefusedBlocks(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			compile(t, newEngine(t), parse(t, c.text), 1)
		})
	}
}
