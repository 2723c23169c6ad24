package luks

import (
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var be = binary.BigEndian

// hashes are the functions, by the names in QEMU's options and in headers.
var hashes = []struct {
	name string
	make func() hash.Hash
}{{"md5", md5.New}, {"sha1", sha1.New}, {"sha224", sha256.New224}, {"sha256", sha256.New}, {"sha384", sha512.New384}, {"sha512", sha512.New}}

// findHash finds a function, or nil.
func findHash(name string) func() hash.Hash {
	for _, h := range hashes {
		if h.name == name {
			return h.make
		}
	}
	return nil
}

// derive is PBKDF2 (RFC 8018).
func derive(h func() hash.Hash, password, salt []byte, iterations uint32, n int) ([]byte, error) {
	return pbkdf2.Key(h, string(password), salt, int(iterations), n)
}

// Measuring iterations per second.
const (
	firstIterations = 1 << 13
	lastIterations  = 1 << 28
	longEnough      = 20 * time.Millisecond
)

// speed is what speeds are remembered by.
type speed struct {
	hash string
	n    int
}

var speeds sync.Map // of speed: uint64

// perSecond finds how many iterations of PBKDF2 this machine does in a second of a processor's time for n bytes.
func perSecond(hash string, n int) (uint64, error) {
	if v, ok := speeds.Load(speed{hash, n}); ok {
		return v.(uint64), nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, password, salt := findHash(hash), make([]byte, n), make([]byte, saltLen)
	for count := uint32(firstIterations); ; count *= 2 {
		before := threadTime()
		if _, err := derive(h, password, salt, count, n); err != nil {
			return 0, err
		}
		if d := threadTime() - before; d >= longEnough || count >= lastIterations {
			v := uint64(float64(count) / max(d, time.Microsecond).Seconds())
			speeds.Store(speed{hash, n}, v)
			return v, nil
		}
	}
}

// threadTime is the processor's time that the thread has used.
func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// diffuse hashes each part of the block, as long as a digest, with its number before it (LUKS specification 1.2.1, section 2.4).
func diffuse(h func() hash.Hash, b []byte) {
	f := h()
	for i := uint32(0); len(b) > 0; i++ {
		part := b[:min(f.Size(), len(b))]
		b = b[len(part):]
		f.Reset()
		f.Write(be.AppendUint32(nil, i))
		f.Write(part)
		copy(part, f.Sum(nil))
	}
}

// split makes a key longer, by so many stripes that losing any of them loses the key.
func split(h func() hash.Hash, key []byte, stripes int) []byte {
	n := len(key)
	out := make([]byte, n*stripes)
	_, _ = rand.Read(out[:n*(stripes-1)]) // which never fails
	last := out[n*(stripes-1):]
	for i := range stripes - 1 {
		subtle.XORBytes(last, last, out[i*n:][:n])
		diffuse(h, last)
	}
	subtle.XORBytes(last, last, key)
	return out
}

// merge is the reverse of split.
func merge(h func() hash.Hash, b []byte, stripes int) []byte {
	n := len(b) / stripes
	key := make([]byte, n)
	for i := range stripes {
		subtle.XORBytes(key, key, b[i*n:][:n])
		if i < stripes-1 {
			diffuse(h, key)
		}
	}
	return key
}
