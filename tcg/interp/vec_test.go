package interp

import (
	"crypto/aes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// vecEnv is an environment for vector operations.
type vecEnv struct {
	env  x86.Env
	unit VecUnit
	io   VecIO
}

func newVecEnv() *vecEnv {
	e := new(vecEnv)
	e.env.MXCSR, e.env.FPCW = 0x1f80, 0x37f
	return e
}

// do executes an instruction on registers d, a, b, c of 16 bytes.
func (e *vecEnv) do(t testing.TB, op ir.VecOp, size uint8, imm uint64, d, a, b, c ir.VReg) {
	t.Helper()
	in := ir.Inst{Op: ir.OpVec, Vec: uint16(op), Size: size, Imm: imm, VD: d, VA: a, VB: b, VC: c}
	if !e.unit.Exec(&e.env.Header, &in, &e.io) {
		t.Fatalf("no operation %s", op)
	}
}

// TestVecComplete runs every vector and x87 operation in every size on random registers: it must be there and keep what lies above the
// result, or clear it.
func TestVecComplete(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for op := ir.VInvalid + 1; op < ir.NumVecOps; op++ {
		info := op.Info()
		for _, size := range []uint8{4, 8, 16, 32} {
			if info.Sizes&size == 0 {
				continue
			}
			for n := range 50 {
				e := newVecEnv()
				for i := range e.env.V {
					for j := range e.env.V[i] {
						e.env.V[i][j] = byte(r.Uint32())
					}
				}
				before := e.env.V[3]
				in := ir.Inst{Op: ir.OpVec, Vec: uint16(op), Size: size, Imm: r.Uint64N(256), VD: 3, VA: 4, VB: 5, VC: 6}
				if n&1 != 0 {
					in.Attr = ir.AttrMerge
				}
				e.io = VecIO{A: r.Uint64(), B: r.Uint64()}
				if !ExecVec(&e.env.Header, &in, &e.io) {
					t.Fatalf("%s of size %d is missing", op, size)
				}
				if info.Use&ir.UseVD == 0 {
					if e.env.V[3] != before && op != ir.VZeroHigh && op != ir.VZeroAll {
						t.Errorf("%s of size %d writes a register", op, size)
					}
					continue
				}
				var above [32]byte
				if in.Attr&ir.AttrMerge != 0 {
					above = before
				}
				from := max(16, int(size))
				if string(e.env.V[3][from:]) != string(above[from:]) {
					t.Errorf("%s of size %d with attributes %d: bytes above the result are %x", op, size, in.Attr, e.env.V[3][from:])
				}
			}
		}
	}
	for op := ir.X87Invalid + 1; op < ir.NumX87Ops; op++ {
		for range 50 {
			e := newVecEnv()
			for i := range e.env.FP {
				binary.LittleEndian.PutUint64(e.env.FP[i][:], r.Uint64())
				binary.LittleEndian.PutUint16(e.env.FP[i][8:], uint16(r.Uint32N(128)+0x3fc0))
			}
			in := ir.Inst{Op: ir.OpX87, Vec: uint16(op), Size: 10, VD: ir.VF0, VA: ir.VF1, VB: ir.VF2, VC: ir.VF3}
			e.io = VecIO{A: r.Uint64(), B: r.Uint64()}
			if !ExecVec(&e.env.Header, &in, &e.io) {
				t.Fatalf("%s is missing", op)
			}
		}
	}
	if ExecVec(&newVecEnv().env.Header, &ir.Inst{Op: ir.OpVec, Vec: uint16(ir.NumVecOps)}, new(VecIO)) {
		t.Error("an unknown operation is executed")
	}
}

// TestAES encrypts and decrypts with the round operations as crypto/aes does.
func TestAES(t *testing.T) {
	key := []byte("YELLOW SUBMARINE")
	plain := []byte("0123456789abcdef")
	c, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var want [16]byte
	c.Encrypt(want[:], plain)
	e := newVecEnv()
	var round [11][16]byte // key schedule by AESKEYGENASSIST
	copy(round[0][:], key)
	rcon := uint64(1)
	for i := 1; i <= 10; i++ {
		copy(e.env.V[1][:], round[i-1][:])
		e.do(t, ir.VAesKeyGen, 16, rcon, 2, ir.VNone, 1, ir.VNone)
		rcon = uint64(gfMul(byte(rcon), 2))
		w := binary.LittleEndian.Uint32(e.env.V[2][12:])
		for j := range 4 {
			w ^= binary.LittleEndian.Uint32(round[i-1][j*4:])
			binary.LittleEndian.PutUint32(round[i][j*4:], w)
		}
	}
	for i := range 16 {
		e.env.V[0][i] = plain[i] ^ round[0][i]
	}
	for i := 1; i <= 10; i++ {
		op := ir.VAesEnc
		if i == 10 {
			op = ir.VAesEncLast
		}
		copy(e.env.V[1][:], round[i][:])
		e.do(t, op, 16, 0, 0, 0, 1, ir.VNone)
	}
	if [16]byte(e.env.V[0][:16]) != want {
		t.Errorf("encrypted to %x, want %x", e.env.V[0][:16], want)
	}
	for i := range 16 {
		e.env.V[0][i] ^= round[10][i]
	}
	for i := 9; i >= 0; i-- {
		copy(e.env.V[1][:], round[i][:])
		op := ir.VAesDecLast
		if i > 0 {
			op = ir.VAesDec
			e.do(t, ir.VAesIMC, 16, 0, 1, ir.VNone, 1, ir.VNone)
		}
		e.do(t, op, 16, 0, 0, 0, 1, ir.VNone)
	}
	if string(e.env.V[0][:16]) != string(plain) {
		t.Errorf("decrypted to %q", e.env.V[0][:16])
	}
}

// paddedBlock is the only block of a short message, as big-endian words.
func paddedBlock(msg string) (w [16]uint32) {
	var b [64]byte
	copy(b[:], msg)
	b[len(msg)] = 0x80
	binary.BigEndian.PutUint64(b[56:], uint64(len(msg))*8)
	for i := range w {
		w[i] = binary.BigEndian.Uint32(b[i*4:])
	}
	return w
}

func (e *vecEnv) put32(r int, w ...uint32) {
	for i, x := range w {
		binary.LittleEndian.PutUint32(e.env.V[r][i*4:], x)
	}
}

func (e *vecEnv) get32(r, i int) uint32 { return binary.LittleEndian.Uint32(e.env.V[r][i*4:]) }

// TestSHA256 hashes one block with the SHA instructions.
func TestSHA256(t *testing.T) {
	k := sha256Constants()
	e := newVecEnv()
	w := paddedBlock("goemu")
	h := [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	e.put32(1, h[5], h[4], h[1], h[0]) // ABEF
	e.put32(2, h[7], h[6], h[3], h[2]) // CDGH
	for i := range 4 {
		e.put32(4+i, w[i*4:i*4+4]...)
	}
	for g := range 16 {
		m := 4 + g%4
		if g >= 4 { // W[t] = msg2(msg1(W[t-16..], W[t-12]) + W[t-7..], W[t-4..])
			e.do(t, ir.VSha256Msg1, 16, 0, ir.VReg(m), ir.VReg(m), ir.VReg(4+(g+1)%4), ir.VNone)
			e.do(t, ir.VAlign, 16, 4, 9, ir.VReg(4+(g+3)%4), ir.VReg(4+(g+2)%4), ir.VNone)
			e.do(t, ir.VAdd32, 16, 0, ir.VReg(m), ir.VReg(m), 9, ir.VNone)
			e.do(t, ir.VSha256Msg2, 16, 0, ir.VReg(m), ir.VReg(m), ir.VReg(4+(g+3)%4), ir.VNone)
		}
		e.put32(8, k[g*4:g*4+4]...)
		e.do(t, ir.VAdd32, 16, 0, 8, 8, ir.VReg(m), ir.VNone)
		e.do(t, ir.VSha256Rnds2, 16, 0, 2, 2, 1, 8)
		e.do(t, ir.VShuf32, 16, 0x0e, 8, ir.VNone, 8, ir.VNone)
		e.do(t, ir.VSha256Rnds2, 16, 0, 1, 1, 2, 8)
	}
	got := [8]uint32{e.get32(1, 3), e.get32(1, 2), e.get32(2, 3), e.get32(2, 2), e.get32(1, 1), e.get32(1, 0), e.get32(2, 1), e.get32(2, 0)}
	want := sha256.Sum256([]byte("goemu"))
	for i := range got {
		if x := got[i] + h[i]; x != binary.BigEndian.Uint32(want[i*4:]) {
			t.Errorf("word %d is %#x, want %x", i, x, want[i*4:i*4+4])
		}
	}
}

// sha256Constants are the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
func sha256Constants() (k []uint32) {
	for p := uint64(2); len(k) < 64; p++ {
		prime := true
		for d := uint64(2); d*d <= p; d++ {
			prime = prime && p%d != 0
		}
		if !prime {
			continue
		}
		root := uint64(0) // floor(cbrt(p) * 2^32), 36 bits
		for bit := 36; bit >= 0; bit-- {
			if r := root | 1<<bit; cubeAtMost(r, p) {
				root = r
			}
		}
		k = append(k, uint32(root))
	}
	return k
}

// cubeAtMost tells whether (r / 2^32)^3 <= p.
func cubeAtMost(r, p uint64) bool {
	x := bigInt(int64(r))
	x.SetMantExp(x, -32)
	c := bigFloat().Mul(x, x)
	return c.Mul(c, x).Cmp(bigInt(int64(p))) <= 0
}

// TestSHA1 hashes one block with the SHA instructions.
func TestSHA1(t *testing.T) {
	e := newVecEnv()
	w := paddedBlock("goemu")
	h := [5]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
	e.put32(0, h[3], h[2], h[1], h[0])
	for i := range 4 {
		e.put32(4+i, w[i*4+3], w[i*4+2], w[i*4+1], w[i*4])
	}
	for g := range 20 {
		m := ir.VReg(4 + g%4)
		if g >= 4 {
			e.do(t, ir.VSha1Msg1, 16, 0, m, m, ir.VReg(4+(g+1)%4), ir.VNone)
			e.do(t, ir.VXor, 16, 0, m, m, ir.VReg(4+(g+2)%4), ir.VNone)
			e.do(t, ir.VSha1Msg2, 16, 0, m, m, ir.VReg(4+(g+3)%4), ir.VNone)
		}
		if g == 0 {
			e.put32(2, 0, 0, 0, h[4])
			e.do(t, ir.VAdd32, 16, 0, 2, 2, m, ir.VNone)
		} else {
			e.do(t, ir.VSha1NextE, 16, 0, 2, 1, m, ir.VNone) // 1: the state four rounds ago
		}
		e.env.V[1] = e.env.V[0]
		e.do(t, ir.VSha1Rnds4, 16, uint64(g/5), 0, 0, 2, ir.VNone)
	}
	e.put32(2)
	e.env.V[2] = [32]byte{}
	e.do(t, ir.VSha1NextE, 16, 0, 2, 1, 2, ir.VNone)
	got := [5]uint32{e.get32(0, 3), e.get32(0, 2), e.get32(0, 1), e.get32(0, 0), e.get32(2, 3)}
	want := sha1.Sum([]byte("goemu"))
	for i := range got {
		if x := got[i] + h[i]; x != binary.BigEndian.Uint32(want[i*4:]) {
			t.Errorf("word %d is %#x, want %x", i, x, want[i*4:i*4+4])
		}
	}
}

// TestConstants checks the transcendental helpers against what is known of them.
func TestConstants(t *testing.T) {
	if d := bigFloat().Sub(pi, toBig(x87Consts[ir.X87Pi])); d.MantExp(nil) > -62 {
		t.Errorf("pi differs from the table by %v", d)
	}
	if d := bigFloat().Sub(ln2, toBig(x87Consts[ir.X87LN2])); d.MantExp(nil) > -64 {
		t.Errorf("ln 2 differs from the table by %v", d)
	}
	if d := bigFloat().Sub(log2(bigInt(10)), toBig(x87Consts[ir.X87L2T])); d.MantExp(nil) > -62 {
		t.Errorf("log2 10 differs from the table by %v", d)
	}
}

func BenchmarkVec(b *testing.B) {
	e := newVecEnv()
	for _, c := range []struct {
		name string
		op   ir.VecOp
		size uint8
	}{{"xor", ir.VXor, 16}, {"add8", ir.VAdd8, 16}, {"addsd", ir.VAddF64, 8}, {"mulps", ir.VMulF32, 16}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.do(b, c.op, c.size, 0, 0, 1, 2, ir.VNone)
			}
		})
	}
}
