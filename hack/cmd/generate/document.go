package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// documents turns every OpenAPI document into JSON beside it: those of the
// services, at the root of their modules, and the gateway's, a folder deeper.
func documents(root string) error {
	var sources []string
	for _, pattern := range []string{"*/openapi.yaml", "*/*/openapi.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("look for OpenAPI documents: %w", err)
		}
		sources = append(sources, found...)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			return fmt.Errorf("read an OpenAPI document: %w", err)
		}
		document, err := toJSON(text)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		target := filepath.Join(filepath.Dir(source), "openapi.json")
		if err := write(target, document); err != nil {
			return err
		}
	}
	return nil
}

// toJSON gives the indented JSON of a YAML document with the keys of every
// object sorted, so that the same document always makes the same bytes. A key
// that stands twice in one object is an error.
func toJSON(text []byte) ([]byte, error) {
	compact, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(compact))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}
