package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
)

// What a token of the usual prefix looks like: 32 characters that are random, and 6 that prove them.
const (
	prefix      = "twd_"
	randomPart  = 32
	proofLength = 6
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// What begins as something else of a server's is read as that.
var otherKinds = map[string]string{"twp_": "policy tokens", "tws_": "sessions of people"}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func isDigest(text string) bool { return digestForm.MatchString(text) }

// digestOf is all that a server is told of a secret.
func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Of another system's secret it cannot be seen what it is made of. This many characters, and different ones, are 112 bits at
// least where a random source has made it.
const (
	shortest  = 24
	longest   = 512
	different = 10
)

// weak says why a secret cannot be a token. One of ours proves itself; of another one only the obvious can be seen.
func weak(secret string) string {
	for other, what := range otherKinds {
		if strings.HasPrefix(secret, other) {
			return "It begins with `" + other + "`, as " + what + " do, and is read as one of those. Use a token (`tokenward token create --local` makes one), or a secret of another system."
		}
	}
	if !strings.HasPrefix(secret, prefix) {
		seen := map[rune]bool{}
		for _, it := range secret {
			if it <= ' ' || it > '~' {
				return "It holds characters that no header carries: a token has letters, digits and signs of ASCII, and no space."
			}
			seen[it] = true
		}
		if len(secret) < shortest || len(secret) > longest || len(seen) < different {
			return fmt.Sprintf("It could be guessed. Use %d to %d characters of a random source; `openssl rand -hex 32` makes one.", shortest, longest)
		}
		return ""
	}
	if len(secret) != len(prefix)+randomPart+proofLength {
		return fmt.Sprintf("A token has %d characters behind `%s`; this one has %d.", randomPart+proofLength, prefix, len(secret)-len(prefix))
	}
	body, proof := secret[:len(prefix)+randomPart], secret[len(prefix)+randomPart:]
	if proof != checksum(body) {
		return "Its checksum is wrong: the last six characters do not fit the others. Was a part of it lost in copying?"
	}
	return ""
}

// A policy token's text has the form of ours, behind what the operator has chosen for them.
var policyForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,14}_[0-9A-Za-z]{38}$`)

// weakPolicy says why a secret cannot be a policy token: of any other text the policy is never asked, and it is refused.
func weakPolicy(secret string) string {
	if !policyForm.MatchString(secret) || strings.HasPrefix(secret, prefix) || strings.HasPrefix(secret, "tws_") {
		return fmt.Sprintf("A policy token begins as those of the server do (`twp_`), with %d characters behind that: `tokenward policy-token create --local` makes one. "+
			"Of any other text the policy is never asked, and it is refused.", randomPart+proofLength)
	}
	if at := len(secret) - proofLength; secret[at:] != checksum(secret[:at]) {
		return "Its checksum is wrong: the last six characters do not fit the others. Was a part of it lost in copying?"
	}
	return ""
}

// checksum is the CRC-32 of all before it, in six digits of base 62.
func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	digits := make([]byte, proofLength)
	for at := proofLength - 1; at >= 0; at-- {
		digits[at] = alphabet[sum%62]
		sum /= 62
	}
	return string(digits)
}
