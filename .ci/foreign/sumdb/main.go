// sumdb <log URL> <verifier key> reads a log with the packages that the go command reads the checksum database with.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: sumdb <log URL> <verifier key>")
	}
	url, verifierKey := os.Args[1], os.Args[2]
	tree := must(openCheckpoint(must(get(url+"/checkpoint")), verifierKey))
	if tree.N < 2 {
		log.Fatalf("a log of %d entries has nothing to prove", tree.N)
	}
	// The reader verifies every tile against the root hash of the tree.
	hashes := tlog.TileHashReader(tree, tiles(url))
	for _, index := range []int64{0, 1, tree.N / 2, tree.N - 1} {
		check("inclusion", index, checkInclusion(url, tree, hashes, index))
	}
	for _, old := range []int64{1, tree.N / 3, tree.N / 2, tree.N - 1} {
		check("consistency", old, checkConsistency(url, tree, hashes, old))
	}
	fmt.Printf("a tree of %d, root hash %v\n", tree.N, tree.Hash)
}

// openCheckpoint is tlog.ParseTree for any origin.
func openCheckpoint(text []byte, verifierKey string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// checkInclusion checks the entry against the tiles, and then the log's own proof against the tree.
func checkInclusion(url string, tree tlog.Tree, hashes tlog.HashReader, index int64) error {
	entry, err := get(fmt.Sprintf("%s/v1/entries/%d", url, index))
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		return err
	}
	leaf := tlog.RecordHash(entry)
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
		return fmt.Errorf("from tiles: %w", err)
	}
	served, err := getPath(fmt.Sprintf("%s/v1/proofs/inclusion?index=%d&size=%d", url, index, tree.N))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(served, tree.N, tree.Hash, index, leaf)
}

// checkConsistency checks a proof made of tiles, and then the log's own.
func checkConsistency(url string, tree tlog.Tree, hashes tlog.HashReader, old int64) error {
	oldHash, err := tlog.TreeHash(old, hashes)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, oldHash); err != nil {
		return fmt.Errorf("from tiles: %w", err)
	}
	served, err := getPath(fmt.Sprintf("%s/v1/proofs/consistency?old=%d&new=%d", url, old, tree.N))
	if err != nil {
		return err
	}
	return tlog.CheckTree(served, tree.N, tree.Hash, old, oldHash)
}

// tiles reads the tiles of c2sp.org/tlog-tiles: paths are those of the checksum database without the height.
type tiles string

func (tiles) Height() int { return 8 }

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (url tiles) ReadTiles(wanted []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := get(string(url) + "/" + path)
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

func getPath(url string) (path []tlog.Hash, err error) {
	body, err := get(url)
	if err != nil {
		return nil, err
	}
	var proof struct{ Path []string }
	if err := json.Unmarshal(body, &proof); err != nil {
		return nil, err
	}
	for _, text := range proof.Path {
		bytes, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		hash, err := tlog.ParseHash(base64.StdEncoding.EncodeToString(bytes))
		if err != nil {
			return nil, err
		}
		path = append(path, hash)
	}
	return path, nil
}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func check(what string, at int64, err error) {
	if err != nil {
		log.Fatalf("%s %d: %v", what, at, err)
	}
}
