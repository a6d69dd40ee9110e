module chatplatform.io/e2e

go 1.26.0

require (
	chatplatform.io/svckit v0.0.0
	github.com/stretchr/testify v1.12.1
	go.mongodb.org/mongo-driver/v2 v2.10.0
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/xdg-go/scram v1.4.0 // indirect
	github.com/xdg-go/stringprep v1.0.4 // indirect
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)

replace chatplatform.io/svckit => ../svckit

replace chatplatform.io/auth-svc => ../auth-svc

replace chatplatform.io/auth-svc/accounts => ../auth-svc/accounts

replace chatplatform.io/chat-svc => ../chat-svc

replace chatplatform.io/edge => ../edge

replace chatplatform.io/local => ../local
