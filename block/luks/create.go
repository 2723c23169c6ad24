package luks

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Least numbers of iterations.
const (
	minKeyIterations  = 1000 // of the key's digest
	minSlotIterations = 1000
	slotsPerDigest    = 8 // the digest has so many times less iterations than a slot
)

// Payload is where the data of an image with these parameters begins, in bytes.
func (p *Params) Payload() int64 {
	return SectorSize * int64(keySector+slots*room(uint64(p.spec.keyLen())))
}

// Check refuses parameters that do not fit together, and looks for the password.
func (p *Params) Check(g *block.Graph) error {
	if _, err := Password(g, p.prefix, p.secret); err != nil {
		return err
	}
	return p.spec.check()
}

// Create writes a header with one password, which needs Payload bytes.
func Create(ctx context.Context, g *block.Graph, p *Params, s Store) (*Volume, error) {
	password, err := Password(g, p.prefix, p.secret)
	if err == nil {
		err = p.spec.check()
	}
	if err != nil {
		return nil, err
	}
	key := make([]byte, p.spec.keyLen())
	_, _ = rand.Read(key) // which never fails
	defer clear(key)
	h, err := p.newHeader(key)
	if err != nil {
		return nil, err
	}
	v := &Volume{h: h, secret: p.secret}
	if v.Cipher, err = NewCipher(p.spec, key); err != nil {
		return nil, err
	}
	return v, v.storeKey(ctx, s, 0, password, key, p.iterTime)
}

// newHeader makes a header without passwords for a key.
func (p *Params) newHeader(key []byte) (*header, error) {
	h := &header{spec: p.spec, hash: p.hash, keyLen: len(key), payload: uint32(p.Payload() / SectorSize), uuid: newUUID()}
	b := h.stored[:]
	copy(b, magic)
	be.PutUint16(b[hdrVersion:], version)
	copy(b[hdrCipherName:], cipherOfAES)
	mode := p.spec.Mode + "-" + p.spec.IV
	if p.spec.IVHash != "" {
		mode += ":" + p.spec.IVHash
	}
	copy(b[hdrCipherMode:], mode)
	copy(b[hdrHash:], p.hash)
	copy(b[hdrUUID:], h.uuid)
	be.PutUint32(b[hdrPayload:], h.payload)
	be.PutUint32(b[hdrKeyLen:], uint32(len(key)))
	_, _ = rand.Read(b[hdrSalt : hdrSalt+saltLen])
	n, err := iterations(h.hash, digestLen, p.iterTime, slotsPerDigest, minKeyIterations)
	if err != nil {
		return nil, err
	}
	h.iterations = n
	be.PutUint32(b[hdrIterations:], n)
	digest, err := h.digest(key)
	if err != nil {
		return nil, err
	}
	copy(b[hdrDigest:], digest)
	for i := range h.slots {
		h.slots[i].sector = uint32(keySector + uint64(i)*room(uint64(len(key))))
		h.storeSlot(i)
	}
	return h, nil
}

// iterations turns a time in milliseconds into a number of iterations for n bytes; by divides it.
func iterations(hash string, n int, milliseconds, by, least uint64) (uint32, error) {
	per, err := perSecond(hash, n)
	if err != nil {
		return 0, bad("%s", err)
	}
	if milliseconds > 0 && per > math.MaxUint64/milliseconds {
		return 0, block.Errnof(unix.ERANGE, "PBKDF iterations %d too large to scale", per)
	}
	count := per * milliseconds / 1000 / by
	if count > math.MaxUint32 {
		return 0, block.Errnof(unix.ERANGE, "PBKDF iterations %d larger than %d", count, uint32(math.MaxUint32))
	}
	return uint32(max(count, least)), nil
}

// newUUID makes a random UUID (RFC 4122, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
