package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/userobj"
	"goemu/qapi"
)

// TestSecrets: data and files, plain, in base64 and encrypted with another secret.
func TestSecrets(t *testing.T) {
	set := new(userobj.Set)
	set.Types = []*userobj.Type{Type(set.Find)}
	add := func(members ...any) error {
		return set.Add(qapi.NewObject(append([]any{"qom-type", "secret"}, members...)...))
	}
	text := func(id string) string {
		s, err := Find(set.Find, id)
		require.NoError(t, err)
		v, err := s.Text(id)
		require.NoError(t, err)
		return v
	}
	file := filepath.Join(t.TempDir(), "key")
	key := []byte("0123456789abcdef0123456789abcdef")
	require.NoError(t, os.WriteFile(file, key, 0o600))
	require.NoError(t, add("id", "master", "file", file))
	require.Equal(t, string(key), text("master"))
	require.NoError(t, add("id", "b", "data", "c2VjcmV0\n", "format", "base64"))
	require.Equal(t, "secret", text("b"))

	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	iv := []byte("fedcba9876543210")
	plain := []byte("a password\x06\x06\x06\x06\x06\x06")
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	iv64, data64 := base64.StdEncoding.EncodeToString(iv), base64.StdEncoding.EncodeToString(plain)
	require.NoError(t, add("id", "e", "data", data64, "format", "base64", "keyid", "master", "iv", iv64))
	require.Equal(t, "a password", text("e"))

	require.ErrorContains(t, add("id", "x"), "Either 'file' or 'data' must be provided")
	require.ErrorContains(t, add("id", "x", "data", data64, "format", "base64", "keyid", "b", "iv", iv64), "Key should be 32 bytes in length")
	require.ErrorContains(t, add("id", "x", "data", data64, "format", "base64", "keyid", "master"), "IV is required to decrypt secret")
	require.ErrorContains(t, add("id", "x", "data", "YQ==", "format", "base64", "keyid", "master", "iv", iv64), "Length 1 must be a multiple of block size 16")
	require.ErrorContains(t, add("id", "b", "data", "y"), "attempt to add duplicate property 'b' to object (type 'container')")
	require.NoError(t, set.Remove("e"))
	require.Nil(t, set.Find("e"))
	require.ErrorContains(t, set.Remove("e"), "object 'e' not found")
}
