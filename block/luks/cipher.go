package luks

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// SectorSize is the unit of encryption: each sector has an initialisation vector of its own.
const SectorSize = 512

var le = binary.LittleEndian

// Spec says how sectors are encrypted: with AES, always.
type Spec struct {
	Alg    string // a name of algs
	Mode   string // a name of modes
	IV     string // a name of ivs
	IVHash string // a name of hashes; counts for essiv only, others may have it for nothing
}

// The names are those of QEMU's options and of "cipher mode" in headers.
const (
	ModeXTS   = "xts"
	ModeCBC   = "cbc"
	IVPlain   = "plain"   // the sector's number, 32 bits of it
	IVPlain64 = "plain64" // the sector's number
	IVEssiv   = "essiv"   // the sector's number, encrypted with a hash of the key
)

// modes and ivs are what is known of each.
var (
	modes = []string{ModeCBC, ModeXTS}
	ivs   = []string{IVPlain, IVPlain64, IVEssiv}
)

// algs are the variants of AES, with the length of their keys in bytes.
var algs = []struct {
	name   string
	keyLen int
}{{"aes-128", 16}, {"aes-192", 24}, {"aes-256", 32}}

// algLen is the length of an algorithm's key, or 0.
func algLen(name string) int {
	for _, a := range algs {
		if a.name == name {
			return a.keyLen
		}
	}
	return 0
}

// keyLen is the length of the key in bytes; XTS has two.
func (s *Spec) keyLen() int {
	if s.Mode == ModeXTS {
		return 2 * algLen(s.Alg)
	}
	return algLen(s.Alg)
}

// Cipher encrypts and decrypts sectors. It may be used in parallel.
type Cipher struct {
	data  cipher.Block
	tweak cipher.Block // XTS: encrypts the vectors (IEEE 1619-2007); nil for CBC
	essiv cipher.Block // nil unless vectors are encrypted numbers
	mask  uint64       // of the sector's number
}

// NewCipher makes a cipher; the key has to have the length that the specification wants.
func NewCipher(s Spec, key []byte) (*Cipher, error) {
	if len(key) != s.keyLen() || len(key) == 0 {
		return nil, errors.New("wrong length of the key")
	}
	c, dataKey := &Cipher{mask: 1<<64 - 1}, key
	var err error
	if s.Mode == ModeXTS {
		dataKey = key[:len(key)/2]
		if c.tweak, err = aes.NewCipher(key[len(key)/2:]); err != nil {
			return nil, err
		}
	}
	if c.data, err = aes.NewCipher(dataKey); err != nil {
		return nil, err
	}
	switch s.IV {
	case IVPlain:
		c.mask = 1<<32 - 1
	case IVEssiv:
		// dm-crypt takes the variant of AES whose key is as long as the digest.
		h := findHash(s.IVHash)
		if h == nil {
			return nil, errors.New("no hash for essiv")
		}
		digest := h()
		digest.Write(key)
		c.essiv, err = aes.NewCipher(digest.Sum(nil))
	}
	return c, err
}

// vector makes the initialisation vector of a sector.
func (c *Cipher) vector(sector uint64) (iv [aes.BlockSize]byte) {
	le.PutUint64(iv[:], sector&c.mask)
	if c.essiv != nil {
		c.essiv.Encrypt(iv[:], iv[:])
	}
	return iv
}

// Encrypt encrypts sectors in place; the last one may be shorter, as long as it is a multiple of 16 bytes.
func (c *Cipher) Encrypt(sector uint64, b []byte) { c.crypt(sector, b, false) }

// Decrypt is the reverse of Encrypt.
func (c *Cipher) Decrypt(sector uint64, b []byte) { c.crypt(sector, b, true) }

func (c *Cipher) crypt(sector uint64, b []byte, decrypt bool) {
	for ; len(b) > 0; sector++ {
		part := b[:min(SectorSize, len(b))]
		b = b[len(part):]
		iv := c.vector(sector)
		switch {
		case c.tweak != nil && decrypt:
			c.xts(iv, part, c.data.Decrypt)
		case c.tweak != nil:
			c.xts(iv, part, c.data.Encrypt)
		case decrypt:
			cipher.NewCBCDecrypter(c.data, iv[:]).CryptBlocks(part, part)
		default:
			cipher.NewCBCEncrypter(c.data, iv[:]).CryptBlocks(part, part)
		}
	}
}

// xts runs XTS over a sector. golang.org/x/crypto/xts takes numbers only for vectors, which essiv's are not.
func (c *Cipher) xts(iv [aes.BlockSize]byte, b []byte, one func(dst, src []byte)) {
	c.tweak.Encrypt(iv[:], iv[:])
	lo, hi := le.Uint64(iv[:]), le.Uint64(iv[8:])
	for ; len(b) >= aes.BlockSize; b = b[aes.BlockSize:] {
		p := b[:aes.BlockSize]
		whiten(p, lo, hi)
		one(p, p)
		whiten(p, lo, hi)
		// multiply by x in GF(2^128), modulo x^128 + x^7 + x^2 + x + 1
		carry := hi >> 63
		hi = hi<<1 | lo>>63
		lo = lo<<1 ^ carry*0x87
	}
}

// whiten adds the tweak.
func whiten(p []byte, lo, hi uint64) {
	le.PutUint64(p, le.Uint64(p)^lo)
	le.PutUint64(p[8:], le.Uint64(p[8:])^hi)
}
