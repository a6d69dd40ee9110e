module chatplatform.io/e2e

go 1.26.0

require (
	chatplatform.io/auth-svc v0.0.0
	chatplatform.io/auth-svc/accounts v0.0.0
	chatplatform.io/chat-svc v0.0.0
	chatplatform.io/edge v0.0.0
	chatplatform.io/local v0.0.0
	chatplatform.io/svckit v0.0.0
)

replace chatplatform.io/svckit => ../svckit

replace chatplatform.io/auth-svc => ../auth-svc

replace chatplatform.io/auth-svc/accounts => ../auth-svc/accounts

replace chatplatform.io/chat-svc => ../chat-svc

replace chatplatform.io/edge => ../edge

replace chatplatform.io/local => ../local
