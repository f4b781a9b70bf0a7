use isock::Action;

#[derive(Action)]
#[action(name = "")]
struct Empty;

#[derive(Action)]
#[action(name = "the echo")]
struct Space;

#[derive(Action)]
#[action(name = "echo\n")]
struct Control;

#[derive(Action)]
#[action(name = "ec\u{200b}ho")]
struct Invisible;

#[derive(Action)]
#[action(name = "echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.echo.")]
struct Long;

#[derive(Action)]
struct EchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEchoEcho;

#[derive(Action)]
#[action(name = "isock.ping")]
struct Reserved;

fn main() {}
