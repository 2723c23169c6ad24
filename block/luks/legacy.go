package luks

import (
	"goemu/block"
)

// legacyKeyLen is the length of the key in qcow2's older encryption: AES-128.
const legacyKeyLen = 16

// Legacy makes the cipher of qcow2's older encryption: the key is the password itself, cut off or filled up with zeroes. prefix is that of
// the option which names the secret.
func Legacy(g *block.Graph, prefix, secret string) (*Cipher, error) {
	password, err := Password(g, prefix, secret)
	if err != nil {
		return nil, err
	}
	key := make([]byte, legacyKeyLen)
	copy(key, password)
	return NewCipher(Spec{Alg: "aes-128", Mode: ModeCBC, IV: IVPlain64}, key)
}
