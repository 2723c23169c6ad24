package luks

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/internal/secret"
	"goemu/internal/userobj"
	"goemu/qapi"
)

var ctx = context.Background()

// memory is a Store.
type memory []byte

func (m memory) Read(_ context.Context, off int64, b []byte) error {
	if off < 0 || off > int64(len(m)) {
		return errors.New("outside")
	}
	copy(b, m[off:])
	return nil
}

func (m memory) Write(_ context.Context, off int64, b []byte, _ block.Flags) error {
	if off < 0 || off+int64(len(b)) > int64(len(m)) {
		return errors.New("outside")
	}
	copy(m[off:], b)
	return nil
}

// graph makes a graph whose secrets are named as what they are.
func graph(t testing.TB, secrets ...string) *block.Graph {
	set := new(userobj.Set)
	set.Types = []*userobj.Type{secret.Type(set.Find)}
	for _, s := range secrets {
		require.NoError(t, set.Add(qapi.NewObject("qom-type", "secret", "id", s, "data", s)))
	}
	g := block.NewGraph()
	g.Object = set.Find
	return g
}

// newImage makes the header of an image with the password "one".
func newImage(t testing.TB, g *block.Graph, pairs ...any) (memory, *Volume) {
	o := block.OptionsOf(append([]any{"key-secret", "one", "iter-time", int64(1)}, pairs...)...)
	p, err := TakeParams(o, "")
	require.NoError(t, err)
	m := make(memory, p.Payload())
	v, err := Create(ctx, g, p, m)
	require.NoError(t, err)
	return m, v
}

// TestXTSVectors: vectors 1 and 2 of IEEE 1619-2007, appendix B.
func TestXTSVectors(t *testing.T) {
	for _, v := range []struct {
		key    string
		sector uint64
		plain  byte
		out    string
	}{
		{"0000000000000000000000000000000000000000000000000000000000000000", 0, 0, "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e"},
		{"1111111111111111111111111111111122222222222222222222222222222222", 0x3333333333, 0x44, "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0"},
	} {
		key, _ := hex.DecodeString(v.key)
		c, err := NewCipher(Spec{Alg: "aes-128", Mode: ModeXTS, IV: IVPlain64}, key)
		require.NoError(t, err)
		b := bytes.Repeat([]byte{v.plain}, 32)
		c.Encrypt(v.sector, b)
		require.Equal(t, v.out, hex.EncodeToString(b))
		c.Decrypt(v.sector, b)
		require.Equal(t, bytes.Repeat([]byte{v.plain}, 32), b)
	}
}

// TestSplit: a key that was split comes back, and one changed bit makes another key.
func TestSplit(t *testing.T) {
	for _, h := range hashes {
		key := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, 7)[:48]
		b := split(h.make, key, 50)
		require.Equal(t, key, merge(h.make, b, 50), h.name)
		b[100] ^= 1
		require.NotEqual(t, key, merge(h.make, b, 50), h.name)
	}
}

// TestRoundTrip: every combination opens with its password and encrypts as before.
func TestRoundTrip(t *testing.T) {
	g := graph(t, "one", "two")
	for _, a := range algs {
		for _, mode := range modes {
			for _, iv := range ivs {
				m, v := newImage(t, g, "cipher-alg", a.name, "cipher-mode", mode, "ivgen-alg", iv)
				w, err := Open(ctx, g, m, "", "one", false)
				require.NoError(t, err)
				b := bytes.Repeat([]byte("0123456789abcdef"), 64)
				v.Cipher.Encrypt(7, b)
				w.Cipher.Decrypt(7, b)
				require.Equal(t, bytes.Repeat([]byte("0123456789abcdef"), 64), b)
				require.Equal(t, v.Info(), w.Info())
				_, err = Open(ctx, g, m, "", "two", false)
				require.EqualError(t, err, "Invalid password, cannot unlock any keyslot")
			}
		}
	}
}

// TestAmend: passwords come and go.
func TestAmend(t *testing.T) {
	g := graph(t, "one", "two", "three")
	m, v := newImage(t, g)
	amend := func(force bool, pairs ...any) string {
		err := v.Amend(ctx, g, m, block.OptionsOf(append(pairs, "iter-time", int64(1))...), "", force)
		if len(pairs) > 1 && pairs[1] == "inactive" {
			err = v.Amend(ctx, g, m, block.OptionsOf(pairs...), "", force)
		}
		if err == nil {
			return ""
		}
		return err.Error()
	}
	opens := func(password string) bool {
		_, err := Open(ctx, g, m, "", password, false)
		return err == nil
	}
	require.Equal(t, "", amend(false, "state", "active", "new-secret", "two"))
	require.True(t, opens("one") && opens("two") && !opens("three"))
	require.Equal(t, "Refusing to overwrite active keyslot 1 - please erase it first", amend(false, "state", "active", "new-secret", "three", "keyslot", "1"))
	require.Equal(t, "", amend(true, "state", "active", "new-secret", "three", "keyslot", "1"))
	require.True(t, opens("one") && !opens("two") && opens("three"))
	require.Equal(t, "No keyslots match given (old) password for erase operation", amend(false, "state", "inactive", "old-secret", "two"))
	require.Equal(t, "", amend(false, "state", "inactive", "old-secret", "one"))
	require.True(t, !opens("one") && opens("three"))
	require.Contains(t, amend(false, "state", "inactive", "keyslot", "1"), "Attempt to erase the only active keyslot 1")
	require.Contains(t, amend(false, "state", "inactive", "old-secret", "three"), "All the active keyslots match")
	require.Equal(t, "Given keyslot 5 is already erased (inactive) ", amend(false, "state", "inactive", "keyslot", "5"))
	require.Contains(t, amend(false, "state", "inactive", "keyslot", "8"), "Invalid keyslot 8")
	require.Contains(t, amend(false, "state", "inactive"), "either explicit keyslot index")
	require.Equal(t, "Parameter 'state' does not accept value 'x'", amend(false, "state", "x"))
}

// TestHostileHeaders: each broken field has its message.
func TestHostileHeaders(t *testing.T) {
	m, _ := newImage(t, graph(t, "one"))
	for _, c := range []struct {
		at    int
		bytes string
		want  string
	}{
		{0, "X", "Volume is not in LUKS format"},
		{6, "\x00\x02", "LUKS version 2 is not supported"},
		{8, string(bytes.Repeat([]byte{'a'}, 32)), "LUKS header cipher name is not NUL terminated"},
		{40, string(bytes.Repeat([]byte{'a'}, 32)), "LUKS header cipher mode is not NUL terminated"},
		{72, string(bytes.Repeat([]byte{'a'}, 32)), "LUKS header hash spec is not NUL terminated"},
		{104, "\x00\x00\x00\x07", "LUKS payload is overlapping with the header"},
		{164, "\x00\x00\x00\x00", "LUKS key iteration count is zero"},
		{208, "\x00\x00\x00\x01", "Keyslot 0 state (active/disable) is corrupted"},
		{212, "\x00\x00\x00\x00", "Keyslot 0 iteration count is zero"},
		{248, "\x00\x00\x00\x07", "Keyslot 0 is overlapping with the LUKS header"},
		{248, "\xff\xff\xff\xf0", "Keyslot 0 is overlapping with the encrypted payload"},
		{248, "\x00\x00\x02\x01", "Keyslots 0 and 1 are overlapping in the header"},
		{252, "\xff\xff\xff\xff", "Keyslot 0 is corrupted (stripes -1 != 4000)"},
		{108, "\xff\xff\xff\xff", "Keyslot 0 is overlapping with the encrypted payload"},
		{108, "\x00\x00\x00\x3f", "Algorithm 'aes' with key size 31 bytes not supported"},
		{108, "\x00\x00\x00\x21", "Algorithm 'aes' with key size 16 bytes not supported"},
		{8, "twofish\x00", "Algorithm 'twofish' with key size 32 bytes not supported"},
		{40, "xts\x00", "Unexpected cipher mode string format 'xts'"},
		{40, "ecb-plain\x00", "Cipher mode 'ecb' not supported"},
		{40, "xts-foo\x00", "IV generator 'foo' not supported"},
		{40, "cbc-essiv\x00", "Algorithm 'aes' with key size 64 bytes not supported"},
		{40, "xts-essiv\x00", "Missing IV generator hash specification"},
		{40, "xts-essiv:sha1\x00", "No AES cipher with key size 20 available"},
		{40, "xts-plain:foo\x00", "Hash algorithm 'foo' not supported"},
		{72, "whirlpool\x00", "Hash algorithm 'whirlpool' not supported"},
	} {
		b := bytes.Clone(m[:headerLen])
		copy(b[c.at:], c.bytes)
		_, err := parse(b)
		require.EqualError(t, err, c.want)
	}
}

// FuzzHeader parses headers; those that are accepted are described, and opened if that does not take long.
func FuzzHeader(f *testing.F) {
	g := graph(f, "one")
	m, _ := newImage(f, g)
	be.PutUint32(m[hdrIterations:], 1)
	be.PutUint32(m[hdrSlots+slotIterations:], 1)
	for _, at := range []uint16{0, 8, 40, 72, 104, 108, 164, 208, 248, 252} {
		f.Add([]byte(m[:headerLen]), at, []byte{0, 0, 0, 9})
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		disk := make(memory, 64<<10)
		copy(disk, b)
		copy(disk[int(at)%headerLen:], patch)
		v, err := Open(ctx, g, disk, "", "", true)
		if err != nil {
			return
		}
		_ = v.Info()
		total := uint64(v.h.iterations) * slots
		for _, s := range v.h.slots {
			total += uint64(s.iterations)
		}
		if total < 100 {
			_, _ = Open(ctx, g, disk, "", "one", false)
		}
	})
}
