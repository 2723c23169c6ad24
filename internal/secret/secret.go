// Package secret has the objects of type secret: passwords and keys, in plain form or encrypted with another secret.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"goemu/internal/strerror"
	"goemu/internal/userobj"
)

// Secret is a password or key.
type Secret struct {
	data, file, format, keyID, iv string
	hasData, hasFile              bool
	find                          func(id string) any
	bytes                         []byte
}

// Type is the type; find finds the secret that another is encrypted with.
func Type(find func(id string) any) *userobj.Type {
	given := func(at func(*Secret) *bool) func(*Secret, string) error {
		return func(s *Secret, _ string) error { *at(s) = true; return nil }
	}
	return &userobj.Type{Name: "secret", Parents: []string{"secret_common"}, New: func(string) userobj.Object { return &Secret{find: find, format: "raw"} },
		Props: []userobj.Property{
			userobj.Constant("loaded", "bool", true),
			userobj.Field("data", "string", "", func(s *Secret) *string { return &s.data }, given(func(s *Secret) *bool { return &s.hasData })),
			userobj.Field("file", "string", "", func(s *Secret) *string { return &s.file }, given(func(s *Secret) *bool { return &s.hasFile })),
			userobj.Field("format", "QCryptoSecretFormat", "", func(s *Secret) *string { return &s.format }, nil),
			userobj.Field("iv", "string", "", func(s *Secret) *string { return &s.iv }, nil),
			userobj.Field("keyid", "string", "", func(s *Secret) *string { return &s.keyID }, nil),
		}}
}

// Bytes is the secret itself.
func (s *Secret) Bytes() []byte { return s.bytes }

// Text is a secret that is a password: UTF-8.
func (s *Secret) Text(id string) (string, error) {
	if !utf8.Valid(s.bytes) {
		return "", fmt.Errorf("Data from secret %s is not valid UTF-8", id)
	}
	return string(s.bytes), nil
}

// Find returns the secret of an identifier.
func Find(find func(id string) any, id string) (*Secret, error) {
	x := find(id)
	if x == nil {
		return nil, fmt.Errorf("No secret with id '%s'", id)
	}
	s, ok := x.(*Secret)
	if !ok {
		return nil, fmt.Errorf("Object with id '%s' is not a secret", id)
	}
	return s, nil
}

// Complete implements userobj.Object: it reads the secret.
func (s *Secret) Complete() error {
	input, err := s.load()
	switch {
	case err != nil:
		return err
	case s.keyID != "":
		input, err = s.decrypt(input)
	case s.iv != "":
		return errors.New("IV should not be set if 'keyid' is not set")
	case s.format == "base64":
		input, err = decode(string(input))
	}
	if err == nil && s.format == "raw" && s.keyID == "" && s.hasData && !utf8.Valid(input) {
		err = errors.New("Data from secret is not valid UTF-8")
	}
	s.bytes = input
	return err
}

// load takes the data from where it is.
func (s *Secret) load() ([]byte, error) {
	switch {
	case s.hasData && s.hasFile:
		return nil, errors.New("'file' and 'data' are mutually exclusive")
	case s.hasFile:
		b, err := os.ReadFile(s.file)
		if err != nil {
			return nil, fmt.Errorf("Unable to read %s: Failed to open file “%s”: %s", s.file, s.file, strerror.Of(err))
		}
		return b, nil
	case s.hasData:
		return []byte(s.data), nil
	}
	return nil, errors.New("Either 'file' or 'data' must be provided")
}

// keySize is the length of the key of AES-256.
const keySize = 32

// decrypt opens data that is encrypted with AES-256 in CBC mode and padded as PKCS#7 says.
func (s *Secret) decrypt(input []byte) ([]byte, error) {
	k, err := Find(s.find, s.keyID)
	if err != nil {
		return nil, err
	}
	if len(k.bytes) != keySize {
		return nil, fmt.Errorf("Key should be %d bytes in length", keySize)
	}
	if s.iv == "" {
		return nil, errors.New("IV is required to decrypt secret")
	}
	iv, err := decode(s.iv)
	if err != nil {
		return nil, err
	}
	if len(iv) != aes.BlockSize {
		return nil, fmt.Errorf("IV should be %d bytes in length not %d", aes.BlockSize, len(iv))
	}
	if s.format == "base64" {
		if input, err = decode(string(input)); err != nil {
			return nil, err
		}
	}
	if len(input) == 0 || len(input)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("Length %d must be a multiple of block size %d", len(input), aes.BlockSize)
	}
	block, err := aes.NewCipher(k.bytes)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(input))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, input)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, fmt.Errorf("Incorrect number of padding bytes (%d) found on decrypted data", pad)
	}
	return out[:len(out)-pad], nil
}

// decode reads base64, which may be broken into lines.
func decode(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return nil, fmt.Errorf("Base64 data '%s' is not valid", s)
	}
	return b, nil
}

// Close implements userobj.Object.
func (s *Secret) Close() { clear(s.bytes) }
