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
	{"division by a large constant", `insn.3 #0x1000
v1 = get.8 rax
v2 = ld.8 #0x0, m0, v1
v3 = ld.8 #0x8, m0, v1
v4 = ld.8 #0x10, m0, v1
v5 = const.8 #0x18f14a78a3
v6 = const.8 #0x28f14a78a3
v7, v8 = divu.8 v6, v2, v5
v9, v10 = divs.8 v6, v3, v5
set.8 rax, v7
set.8 rcx, v8
set.8 rdx, v9
set.8 rbx, v10
set.8 rsi, v2
set.8 rdi, v3
set.8 r8, v4
goto ->0
exit 0 direct 0x1010`},
}

func TestRefusedBlocks(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			compile(t, newEngine(t), parse(t, c.text), 1)
		})
	}
}
